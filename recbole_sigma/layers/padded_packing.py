"""Padded sequences with the interface of packed ones, for graphs that are traced once and run with any sizes."""

from __future__ import annotations

from typing import Callable

import torch
from torch import Tensor, nn

from recbole_sigma.ops import InterestScan
from recbole_sigma.ops.interest_scan import padded


class PaddedPacking:
    """How ``B`` sequences, padded on the right to ``T`` places, lie in flat tensors ``[M, ...]`` with ``M = B T``.

    It has what layers ask of a ``Packing``. The padding is read as items are: it comes after them, and layers that look
    back never see it. No shape depends on a value, so that ``torch.export`` can leave B and T open.

    Args:
        item_seq: ``[B, T]``, ids, 0 for the padding on the right.
        max_length: the longest T that layers were built for.

    Attributes:
        longest: T.
        position: ``[M]``, place of each item in its sequence, from 0.
        last: ``[B]``, index of the last item of each sequence, or of its first place where it has none.
    """

    def __init__(self, item_seq: Tensor, max_length: int) -> None:
        self.shape = item_seq.shape
        self.max_length = max_length
        num_rows, self.longest = self.shape
        place = torch.arange(self.longest, device=item_seq.device)
        self.position = place.expand(self.shape).flatten()
        first = torch.arange(num_rows, device=item_seq.device) * self.longest
        self.last = first + ((item_seq != 0).sum(1) - 1).clamp(min=0)

    def by_group(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """A function of padded sequences ``[B, T, D]``: ``[M, D]`` to its results ``[M, E]``."""
        return function(self._unflatten(x)).flatten(0, 1)

    def interest_scan(
        self, items: Tensor, probability: Tensor, assigned: Tensor, category: Tensor, gru: nn.GRU
    ) -> InterestScan:
        """As that of a ``Packing``."""
        parts = map(self._unflatten, (items, probability, assigned, category))
        return InterestScan(*(part.flatten(0, 1) for part in padded.scan(*parts, gru, self.max_length)))

    def _unflatten(self, x: Tensor) -> Tensor:  # [M, ...] -> [B, T, ...]
        return x.unflatten(0, self.shape)
