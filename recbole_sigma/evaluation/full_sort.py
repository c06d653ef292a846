"""The top items of a batch of evaluation rows, of models of every kind."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from recbole_sigma.evaluation.ranking import Ranked, top_items

SCORES_AT_ONCE = 2**23
"""Scores that a model without user vectors gives at a time, 34 MB; at least those of one row."""


def rank_catalog(model, interaction, num_items: int, k: int, excluded: tuple[Tensor, Tensor] | None) -> Ranked:
    """The k best items of each row of an interaction.

    A model that offers ``user_vectors(interaction)`` ``[B, K, D]`` and ``item_vectors`` ``[V, D]`` is ranked in tiles
    of items, any other by the scores that it gives of the whole catalog, for some of the rows at a time.

    Args:
        excluded: rows and items of the pairs that are not to be ranked.

    Returns:
        Scores and items of each row, ``[B, k]``, best first.

    Raises:
        NotImplementedError: the model can do neither.
    """
    if hasattr(model, "user_vectors"):
        return top_items(model.user_vectors(interaction), model.item_vectors, k, excluded)
    step = max(1, SCORES_AT_ONCE // num_items)
    parts = [slice(start, start + step) for start in range(0, len(interaction), step)]
    ranked = [_top_of_rows(model, interaction, rows, num_items, k, excluded) for rows in parts]
    return Ranked(*(torch.cat(part) for part in zip(*ranked)))


def _top_of_rows(model, interaction, rows: slice, num_items: int, k: int, excluded) -> Ranked:
    """By ``torch.topk``, as RecBole: many of its models give equal scores, and their order is the same then."""
    scores = model.full_sort_predict(interaction[rows]).view(-1, num_items)
    scores[:, 0] = -math.inf
    if excluded is not None:
        row, item = excluded
        inside = (row >= rows.start) & (row < rows.stop)
        scores[row[inside] - rows.start, item[inside]] = -math.inf
    return Ranked(*scores.topk(k))
