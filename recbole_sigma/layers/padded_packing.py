"""Padded sequences with the interface of packed ones, for graphs that are traced once and run for any size."""

from __future__ import annotations

from typing import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sigma.deprecation import renamed_method
from recbole_sigma.ops.recurrent import run_padded
from recbole_sigma.precision import at_least_float32


class PaddedPacking:
    """Where ``B`` sequences, padded on the right to ``T`` places, lie in flat tensors ``[M, ...]`` with ``M = B T``.

    It has the methods of a ``Packing`` that models use. Padding is read like items; it comes after them, so layers that
    look back never see it. No shape depends on a value, so ``torch.export`` can leave B and T open.

    Args:
        item_seq: ``[B, T]``, ids, 0 for the padding on the right.
        max_length: the largest T that the layers were built for.

    Attributes:
        longest: T.
        position: ``[M]``, position of each place in its sequence, from 0.
        last: ``[B]``, index of the last item of each sequence, or of its first place if it has no item.
    """

    def __init__(self, item_seq: Tensor, max_length: int) -> None:
        self.shape = item_seq.shape
        self.max_length = max_length
        num_rows, self.longest = self.shape
        place = torch.arange(self.longest, device=item_seq.device)
        self.position = place.expand(self.shape).flatten()
        self._is_item = (item_seq != 0).flatten()
        self._first = torch.arange(num_rows, device=item_seq.device) * self.longest
        self.last = self._first + ((item_seq != 0).sum(1) - 1).clamp(min=0)

    @property
    def sequence(self) -> Tensor:
        """``[M]``, index of the sequence of each place."""
        return torch.arange(self.shape[0], device=self._is_item.device).repeat_interleave(self.longest)

    @property
    def mirror(self) -> Tensor:
        """As that of a ``Packing``; the padding is its own mirror."""
        start_and_end = (self._first + self.last).repeat_interleave(self.longest)
        place = torch.arange(self._is_item.shape[0], device=self._is_item.device)
        return torch.where(self._is_item, start_and_end - place, place)

    def prefix_sums(self, x: Tensor) -> Tensor:
        """As those of a ``Packing``; meaningless at the padding."""
        return self.unflatten(at_least_float32(x)).cumsum(1).flatten(0, 1)

    def segment_sums(self, x: Tensor) -> Tensor:
        """As those of a ``Packing``."""
        is_item = self._is_item.view(-1, *[1] * (x.dim() - 1))
        return self.unflatten(at_least_float32(x).masked_fill(~is_item, 0)).sum(1)

    def recurrent(self, network: nn.RNNBase, x: Tensor) -> Tensor:
        """As that of a ``Packing``. It takes ``max_length`` steps, because a trace fixes their number."""
        rows = F.pad(self.unflatten(x), (0, 0, 0, self.max_length - self.longest))
        return run_padded(network, rows)[:, : self.longest].flatten(0, 1)

    def by_bucket(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """As that of a ``Packing``, with all sequences in one bucket."""
        return function(self.unflatten(x)).flatten(0, 1)

    by_group = renamed_method("by_group", by_bucket)

    def unflatten(self, x: Tensor) -> Tensor:
        """``[M, ...]`` to ``[B, T, ...]``."""
        return x.unflatten(0, self.shape)
