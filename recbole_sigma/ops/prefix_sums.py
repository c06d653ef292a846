"""Sums over the prefixes of packed sequences."""

from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def reach_of(position: Tensor) -> list[Tensor]:
    """Indices of the items that have an item 1, 2, 4, ... positions before them in their sequence, for each distance.

    Args:
        position: ``[M]``, position of each item in its sequence, from 0, on the CPU.
    """
    longest_distance = int(position.max()) if len(position) else 0
    distances = (2**power for power in range(longest_distance.bit_length()))
    return [(position >= distance).nonzero().squeeze(1) for distance in distances]


class PrefixSums(torch.autograd.Function):
    """``prefix_sums`` with gradients: ``PrefixSums.apply(values, *reach)``."""

    @staticmethod
    def forward(ctx, values, *reach):
        ctx.save_for_backward(*reach)
        return prefix_sums(values, reach)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        reach = ctx.saved_tensors
        return suffix_sums(grad, reach), *(None,) * len(reach)


def prefix_sums(values: Tensor, reach: Sequence[Tensor]) -> Tensor:
    """Sums ``[M, ...]`` from the first item of the sequence to each item, by doubling (Hillis & Steele, 1986).

    The order of the additions depends only on the position in the sequence, so the sums are the same in every batch.

    Args:
        values: ``[M, ...]``.
        reach: as ``reach_of`` returns it.
    """
    sums = (values.flatten(1) if values.dim() > 1 else values.unsqueeze(1)).clone()
    for power, item in enumerate(reach):
        sums.index_add_(0, item, sums.index_select(0, item - 2**power))
    return sums.view_as(values)


def suffix_sums(values: Tensor, reach: Sequence[Tensor]) -> Tensor:
    """Sums ``[M, ...]`` from each item to the last item of its sequence; arguments as for ``prefix_sums``."""
    sums = (values.flatten(1) if values.dim() > 1 else values.unsqueeze(1)).clone()
    for power, item in enumerate(reach):
        sums.index_add_(0, item - 2**power, sums.index_select(0, item))
    return sums.view_as(values)
