"""The scan of padded sequences. No shape depends on a value, so the scan can be exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def scan(
    items: Tensor, probability: Tensor, assigned: Tensor, category: Tensor, gru: nn.GRU, max_length: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As ``interest_scan``, for ``B`` sequences padded on the right to ``T`` places.

    The states at the padding are meaningless. The GRU runs over ``max_length`` steps for each category; the steps after
    the last item of the category are padding.

    Args:
        items, assigned: ``[B, T, D]``.
        probability: ``[B, T, K]``.
        category: ``[B, T]``.
        max_length: number of steps of the GRU, at least T.

    Returns:
        ``[B, T, K, D]``, ``[B, T, K]``, ``[B, T, K, D]`` and ``[B, T, K]``.
    """
    batch, length, size = items.shape
    num_categories = probability.shape[2]
    soft = (probability.unsqueeze(3) * items.unsqueeze(2)).cumsum(1)
    position = torch.arange(1, length + 1, device=items.device)
    intensity = probability.cumsum(1) / position.unsqueeze(1)

    categories = torch.arange(num_categories, device=items.device)
    number = (category.unsqueeze(2) == categories).long().cumsum(1)  # [B, T, K], items of each category so far
    first = categories * max_length  # place of each category: a category has max_length places
    place = first[category] + number.gather(2, category.unsqueeze(2)).squeeze(2) - 1
    by_category = assigned.new_zeros(batch, num_categories * max_length, size)
    by_category = by_category.scatter(1, place.unsqueeze(2).expand(-1, -1, size), assigned)
    states = _states(by_category.view(-1, max_length, size), gru).reshape(batch, -1, size)
    latest = (first + (number - 1).clamp(min=0)).flatten(1)  # [B, T K], place of the last item of each category
    hard = states.gather(1, latest.unsqueeze(2).expand(-1, -1, size)).unflatten(1, (-1, num_categories))
    present = number > 0
    return soft, intensity, hard * present.unsqueeze(3), present


def _states(sequences: Tensor, gru: nn.GRU) -> Tensor:  # [N, t, D] -> [N, t, D]
    return gru(sequences)[0] if gru.batch_first else gru(sequences.transpose(0, 1))[0].transpose(0, 1)
