"""The top items of a batch of evaluation rows, for models of every kind."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from recbole_sigma import precision
from recbole_sigma.errors import ConfigError
from recbole_sigma.losses import interest_scores
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
    if _ranks_by_vectors(model):
        return top_items(_user_vectors(model, interaction), model.item_vectors, k, excluded).without_unranked()
    step = max(1, SCORES_AT_ONCE // num_items)
    parts = [slice(start, start + step) for start in range(0, len(interaction), step)]
    ranked = [_top_of_rows(model, interaction, rows, num_items, k, excluded, item_features) for rows in parts]
    return Ranked(*(torch.cat(part) for part in zip(*ranked))).without_unranked()


def has_vectors(model) -> bool:
    """Whether the score of an item is the largest product of its vector with those of the user."""
    return hasattr(model, "user_vectors") and getattr(model, "no_vectors", None) is None


def _ranks_by_vectors(model) -> bool:
    """Whether products with all vectors of a user are no more work than the scores of the model."""
    return has_vectors(model) and not getattr(model, "ranks_whole_rows", False)


@torch.no_grad()
def log_probabilities(
    model, interaction, items: Tensor, num_items: int, excluded: tuple[Tensor, Tensor] | None, item_features
) -> Tensor:
    """Log-softmax of items of each row, over all items that can be ranked, in float64 from scores in float32.

    Args:
        items: ids ``[B, n]``.
        num_items, excluded, item_features: as for ``rank_catalog``; an excluded item gets -inf.

    Returns:
        ``[B, n]``, in nats.
    """
    users = _user_vectors(model, interaction) if _ranks_by_vectors(model) else None
    copies = 1 if users is None else users.shape[1]
    step = max(1, SCORES_AT_ONCE // (num_items * copies))
    parts = []
    for rows in (slice(start, start + step) for start in range(0, len(interaction), step)):
        if users is None:
            scores = _scores(model, interaction[rows], item_features).view(-1, num_items)
        else:
            with precision.no_autocast(users):
                scores = interest_scores(users[rows].float(), model.item_vectors.float())
        scores = _exclude(scores, rows, excluded).double()
        parts.append(scores.gather(1, items[rows]) - scores.logsumexp(1, keepdim=True))
    return torch.cat(parts)


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
    return Ranked(*_exclude(scores, rows, excluded).topk(k))


def _exclude(scores: Tensor, rows: slice, excluded: tuple[Tensor, Tensor] | None) -> Tensor:
    """The scores ``[b, V]`` of these rows, in place, with -inf for the padding and the excluded items."""
    scores[:, 0] = -math.inf
    if excluded is not None:
        row, item = excluded
        inside = (row >= rows.start) & (row < rows.stop)
        scores[row[inside] - rows.start, item[inside]] = -math.inf
    return scores


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
