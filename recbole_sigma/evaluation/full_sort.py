"""The top items of a batch of evaluation rows, for models of every kind."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from recbole_sigma.errors import ConfigError
from recbole_sigma.evaluation.ranking import Ranked, RankedItems, top_items

SCORES_AT_ONCE = 2**23
"""Maximum number of scores that a model without user vectors computes at once, 34 MB; at least those of one row."""
PAIRS_AT_ONCE = 2**13
"""Pairs of a user and an item that are scored at once by models that score only pairs."""


def rank_batch(model, batch: tuple, num_items: int, k: int, item_features, device: torch.device) -> tuple:
    """A batch of evaluation rows with its k best items in place of scores, for ``TopItemsCollector``.

    Args:
        batch: of RecBole's loader for full ranking: an interaction, the pairs that are not to be ranked or None, and
            rows and items of the positive pairs.
        num_items, k, item_features: as for ``rank_catalog``.
        device: of the model.

    Returns:
        The interaction, ``RankedItems``, and the positive pairs.
    """
    interaction, excluded, positive_row, positive_item = batch
    ranked = rank_catalog(model, interaction.to(device), num_items, k, excluded, item_features)
    return interaction, RankedItems(ranked.items), positive_row, positive_item


def rank_catalog(
    model, interaction, num_items: int, k: int, excluded: tuple[Tensor, Tensor] | None, item_features
) -> Ranked:
    """The k best items of each row of an interaction.

    A model with ``user_vectors(interaction)`` ``[B, K, D]`` and ``item_vectors`` ``[V, D]`` is ranked in tiles of
    items, unless it says ``ranks_whole_rows``. Other models score the whole catalog for some rows at a time; models that
    score only pairs score all pairs.

    Args:
        excluded: rows and items of the pairs to leave out.
        item_features: an interaction of the ``num_items`` items, for models that score pairs.

    Returns:
        Scores and items of each row, ``[B, k]``, best first; score -inf and item 0 in the places at the end of a row
        with fewer items to recommend.
    """
    if has_vectors(model) and not getattr(model, "ranks_whole_rows", False):
        return top_items(_user_vectors(model, interaction), model.item_vectors, k, excluded).without_unranked()
    step = max(1, SCORES_AT_ONCE // num_items)
    parts = [slice(start, start + step) for start in range(0, len(interaction), step)]
    ranked = [_top_of_rows(model, interaction, rows, num_items, k, excluded, item_features) for rows in parts]
    return Ranked(*(torch.cat(part) for part in zip(*ranked))).without_unranked()


def has_vectors(model) -> bool:
    """Whether the score of an item is the largest product of its vector with those of the user."""
    return hasattr(model, "user_vectors") and getattr(model, "no_vectors", None) is None


def _user_vectors(model, interaction) -> Tensor:
    users, items = model.user_vectors(interaction), model.item_vectors
    if users.dim() != 3 or len(users) != len(interaction) or users.shape[2] != items.shape[1]:
        raise ConfigError(
            f"{type(model).__name__}: encode_users gives {list(users.shape)} for {len(interaction)} sequences and "
            f"item_vectors {list(items.shape)}; expected [B, K, E] and [V, E]. A vector after each item has to be taken "
            "at packing.last"
        )
    return users


def _top_of_rows(model, interaction, rows: slice, num_items: int, k: int, excluded, item_features) -> Ranked:
    """Ranks by ``torch.topk``, as RecBole does, so that equal scores, which many models give, have the same order."""
    scores = _scores(model, interaction[rows], item_features).view(-1, num_items)
    scores[:, 0] = -math.inf
    if excluded is not None:
        row, item = excluded
        inside = (row >= rows.start) & (row < rows.stop)
        scores[row[inside] - rows.start, item[inside]] = -math.inf
    return Ranked(*scores.topk(k))


def _scores(model, interaction, item_features) -> Tensor:
    try:
        return model.full_sort_predict(interaction)
    except NotImplementedError:  # predicts pairs of user and item only
        return torch.cat(
            [
                _pair_scores(model, interaction[row : row + 1], item_features[start : start + PAIRS_AT_ONCE])
                for row in range(len(interaction))
                for start in range(0, len(item_features), PAIRS_AT_ONCE)
            ]
        )


def _pair_scores(model, row, item_features) -> Tensor:
    pairs = row.repeat_interleave(len(item_features))
    pairs.update(item_features)
    return model.predict(pairs)
