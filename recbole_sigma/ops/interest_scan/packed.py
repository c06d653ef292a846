"""All prefixes at once: sums by doubling, and one call of the GRU on the subsequences of all categories."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence


def scan(
    items: Tensor, probability: Tensor, assigned: Tensor, category: Tensor, lengths: Tensor, gru: nn.GRU
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As ``interest_scan``."""
    start = (lengths.cumsum(0) - lengths).repeat_interleave(lengths, output_size=len(items))
    position = torch.arange(len(items), device=items.device) - start
    wide = torch.promote_types(torch.promote_types(items.dtype, probability.dtype), torch.float32)
    items, probability = items.to(wide), probability.to(wide)
    soft = _SoftSums.apply(items, probability, position)
    intensity = _PrefixSums.apply(probability, position) / (position + 1).unsqueeze(1)
    hard, present = hard_states(assigned, category, probability.shape[1], lengths, start, gru)
    return soft, intensity, hard, present


class _PrefixSums(torch.autograd.Function):
    """Sum ``[M, ...]`` of the items of the same sequence up to each."""

    @staticmethod
    def forward(ctx, values, position):
        ctx.save_for_backward(position)
        return prefix_sums(values, position)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (position,) = ctx.saved_tensors
        return suffix_sums(grad, position), None


class _SoftSums(torch.autograd.Function):
    """Prefix sums of ``probability [M, K]`` times ``items [M, D]``, without keeping the products: ``[M, K, D]``."""

    @staticmethod
    def forward(ctx, items, probability, position):
        ctx.save_for_backward(items, probability, position)
        return prefix_sums(probability.unsqueeze(2) * items.unsqueeze(1), position)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        items, probability, position = ctx.saved_tensors
        grad = suffix_sums(grad, position)
        of_items = (probability.unsqueeze(1) @ grad).squeeze(1)
        of_probability = (grad @ items.unsqueeze(2)).squeeze(2)
        return of_items, of_probability, None


def prefix_sums(values: Tensor, position: Tensor) -> Tensor:
    """Sums ``[M, ...]`` up to each item from the first of its sequence, by doubling (Hillis & Steele, 1986).

    The order of additions depends on the place in the sequence alone: so the result is the same in any batch.

    Args:
        position: ``[M]``, place of each item in its sequence, from 0.
    """
    return _sums(values, position, backwards=False)


def suffix_sums(values: Tensor, position: Tensor) -> Tensor:
    """Sums ``[M, ...]`` from each item to the last of its sequence; arguments as for ``prefix_sums``."""
    return _sums(values, position, backwards=True)


def _sums(values: Tensor, position: Tensor, backwards: bool) -> Tensor:
    longest = int(position.max()) + 1 if len(position) else 0
    nothing = values.new_zeros(())
    distance = 1
    while distance < longest:
        near = (position[distance:] >= distance).view(-1, *[1] * (values.dim() - 1))  # pairs of the same sequence
        earlier, later = values[:-distance], values[distance:]
        sums = torch.empty_like(values)
        if backwards:
            torch.where(near, later, nothing, out=sums[:-distance]).add_(earlier)
            sums[-distance:] = values[-distance:]
        else:
            sums[:distance] = values[:distance]
            torch.where(near, earlier, nothing, out=sums[distance:]).add_(later)
        values = sums
        distance *= 2
    return values


def hard_states(
    assigned: Tensor, category: Tensor, num_categories: int, lengths: Tensor, start: Tensor, gru: nn.GRU
) -> tuple[Tensor, Tensor]:
    """State of the GRU ``[M, K, D]`` after the last item of each category so far, and which have one ``[M, K]``.

    Args:
        start: ``[M]``, index of the first item of each item's sequence.
    """
    num_items, num_sequences = len(assigned), len(lengths)
    sequence = torch.arange(num_sequences, device=start.device).repeat_interleave(lengths, output_size=num_items)
    order, batch_sizes = packed_order(sequence * num_categories + category, num_sequences * num_categories)
    states = gru(PackedSequence(assigned[order], batch_sizes))[0].data[order.argsort()]  # [M, D], after each item
    # Row 0 is the state of a category without items, row n the state after the n-th item of the batch.
    states = torch.cat([states.new_zeros(1, states.shape[1]), states])
    number = torch.arange(1, num_items + 1, device=start.device).unsqueeze(1)
    latest = (F.one_hot(category, num_categories) * number).cummax(dim=0).values  # [M, K], of any sequence so far
    latest = latest * (latest > start.unsqueeze(1))
    return F.embedding(latest, states, padding_idx=0), latest > 0


def packed_order(group: Tensor, num_groups: int) -> tuple[Tensor, Tensor]:
    """Order in which a ``PackedSequence`` holds items that are given group by group in time order.

    Args:
        group: ``[M]``, the subsequence that each item belongs to, in ``range(num_groups)``.

    Returns:
        Indices ``[M]`` that bring the items into packed order, longest subsequence first, and the number of
        subsequences at each step (on the CPU, as PyTorch wants it).
    """
    item = torch.arange(len(group), device=group.device)
    lengths = torch.bincount(group, minlength=num_groups)
    by_group = group.argsort(stable=True)
    step = torch.empty_like(group)
    step[by_group] = item - (lengths.cumsum(0) - lengths)[group[by_group]]
    rank = torch.empty_like(lengths)
    rank[lengths.argsort(descending=True, stable=True)] = torch.arange(num_groups, device=group.device)
    return (step * num_groups + rank[group]).argsort(), torch.bincount(step).cpu()
