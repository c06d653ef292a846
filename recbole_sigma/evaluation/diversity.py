"""Diversity of the recommended items, equation (15) of the paper."""

from __future__ import annotations

import numpy as np
import torch
from recbole.evaluator.base_metric import AbstractMetric
from recbole.utils import EvaluatorType
from torch import Tensor

from recbole_sigma.errors import ConfigError
from recbole_sigma.evaluation.registration import register_metric

PAIRS_AT_ONCE = 2**19
"""Maximum number of item pairs compared at once, 8 bytes each; at least those of one row."""


def diversity(items: Tensor, categories: Tensor) -> Tensor:
    """Share of the pairs among the first K items of a row that have no category in common, for every K up to k.

    Equation (15) of Li et al., "Semantic Gaussian Mixture Variational Autoencoder for Sequential Recommendation": items
    are of the same category "if they share at least one genre in common", so an item without a category shares none.
    The result is the mean over the rows that have a pair among their first K; 0 if none has, as for K = 1.

    Args:
        items: ``[B, k]``, best first; 0 is an empty place.
        categories: ``[V, W]`` of each item, as ``bit_masks`` makes them.

    Returns:
        ``[k]``, float64, whose entry K - 1 is Diversity@K, in memory of O(k^2) or ``PAIRS_AT_ONCE``.

    Raises:
        ValueError: arguments of another shape or type.
    """
    shapes = f"items {list(items.shape)}, categories {list(categories.shape)}"
    if items.dim() != 2 or categories.dim() != 2 or not items.numel():
        raise ValueError(f"{shapes}; expected items [B, k], at least one, and categories [V, W]")
    if categories.dtype != torch.int64:
        raise ValueError(f"categories are {categories.dtype}; expected the int64 of bit_masks")
    total, number = 0, 0
    for rows in _parts(items):
        shares = _shares(rows, categories)
        total += shares.nan_to_num().sum(0)
        number += shares.isfinite().sum(0)
    return total / number.clamp(min=1)


def diversity_of_rows(items: Tensor, categories: Tensor) -> Tensor:
    """As ``diversity``, for each row by itself: ``[B, k]``, float64, NaN where the first K places have no pair."""
    return torch.cat([_shares(rows, categories) for rows in _parts(items)])


def _parts(items: Tensor) -> tuple[Tensor, ...]:
    return items.split(max(1, PAIRS_AT_ONCE // items.shape[1] ** 2))


def _shares(rows: Tensor, categories: Tensor) -> Tensor:
    """Share of pairs without a common category in a list of each length, ``[b, k]``."""
    filled = rows.ne(0)
    differs = filled.unsqueeze(2) & filled.unsqueeze(1)
    for word in categories.T:
        bits = word[rows]  # [b, k]
        differs &= (bits.unsqueeze(2) & bits.unsqueeze(1)).eq(0)
    length = filled.cumsum(1)
    return differs.tril(-1).sum(2).cumsum(1) / (length * (length - 1) // 2).double()


def bit_masks(item: np.ndarray, category: np.ndarray, num_items: int) -> Tensor:
    """The categories of each item as bits of 64-bit words.

    Args:
        item, category: ``[P]``, the pairs of an item and a category of it, as numbers from 0; a pair may come twice.
        num_items: V.

    Returns:
        ``[V, W]``, int64, for V items and as many words as the highest category needs.
    """
    masks = np.zeros((num_items, category.max(initial=0) // 64 + 1), dtype=np.uint64)
    np.bitwise_or.at(masks, (item, category // 64), np.uint64(1) << (category % 64).astype(np.uint64))
    return torch.from_numpy(masks.view(np.int64))


@register_metric
class Diversity(AbstractMetric):
    """Diversity@K, bigger is better, of the categories in the column ``category_field`` of the ``.item`` file."""

    metric_type = EvaluatorType.RANKING
    metric_need = ["rec.items", "data.item_categories"]

    def __init__(self, config):
        super().__init__(config)
        self.topk = config["topk"]

    def calculate_metric(self, dataobject):
        if "data.item_categories" not in dataobject:
            raise ConfigError(
                "Diversity needs the categories of items, which RecBole's own trainer does not collect; expected "
                "run_recbole_sigma in its place"
            )
        values = diversity_of_rows(dataobject.get("rec.items"), dataobject.get("data.item_categories"))
        return self.topk_result("diversity", values.numpy())

    def topk_result(self, metric, value):
        """Hook of RecBole: the means of values ``[B, k]`` of rows, by name; 0 if no row has one."""
        number = np.isfinite(value).sum(0).clip(min=1)
        means = (np.nan_to_num(value).sum(0) / number).tolist()
        return {f"{metric}@{k}": round(means[k - 1], self.decimal_place) for k in self.topk}
