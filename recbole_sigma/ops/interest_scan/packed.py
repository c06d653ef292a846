"""All prefixes together: prefix sums, and one call of the GRU on the subsequences of all categories."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from recbole_sigma import precision
from recbole_sigma.ops.prefix_sums import PrefixSums, prefix_sums, reach_of, suffix_sums
from recbole_sigma.ops.transfer import to_device


def scan(
    items: Tensor, probability: Tensor, assigned: Tensor, category: Tensor, lengths: Tensor, gru: nn.GRU
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As ``interest_scan``."""
    lengths = lengths.cpu()
    first = (lengths.cumsum(0) - lengths).repeat_interleave(lengths, output_size=len(items))
    position = torch.arange(len(items)) - first
    indices = first, position, *reach_of(position)
    first, position, *reach = (to_device(index, items.device) for index in indices)
    wide = torch.promote_types(torch.promote_types(items.dtype, probability.dtype), torch.float32)
    items, probability = items.to(wide), probability.to(wide)
    soft = _SoftSums.apply(items, probability, *reach)
    intensity = PrefixSums.apply(probability, *reach) / (position + 1).unsqueeze(1)
    hard, present = hard_states(assigned, category, probability.shape[1], lengths, first, gru)
    return soft, intensity, hard, present


class _SoftSums(torch.autograd.Function):
    """Prefix sums ``[M, K, D]`` of ``probability [M, K]`` times ``items [M, D]``; the products are not saved."""

    @staticmethod
    def forward(ctx, items, probability, *reach):
        ctx.save_for_backward(items, probability, *reach)
        return prefix_sums(probability.unsqueeze(2) * items.unsqueeze(1), reach)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        items, probability, *reach = ctx.saved_tensors
        grad = suffix_sums(grad, reach)
        with precision.no_autocast(grad):
            of_items = (probability.unsqueeze(1) @ grad).squeeze(1)
            of_probability = (grad @ items.unsqueeze(2)).squeeze(2)
        return of_items, of_probability, *(None,) * len(reach)


def hard_states(
    assigned: Tensor, category: Tensor, num_categories: int, lengths: Tensor, first: Tensor, gru: nn.GRU
) -> tuple[Tensor, Tensor]:
    """State of the GRU ``[M, K, D]`` after the last item of each category so far, and a mask ``[M, K]`` of categories
    that have an item so far.

    Args:
        lengths: ``[B]``, on the CPU.
        first: ``[M]``, index of the first item of each item's sequence.
    """
    num_items, device = len(assigned), assigned.device
    sequence = torch.arange(len(lengths)).repeat_interleave(lengths, output_size=num_items)
    subsequence = to_device(sequence, device) * num_categories + category
    step, rank = steps_and_ranks(subsequence, len(lengths) * num_categories)
    batch_sizes = batch_sizes_of(step, lengths, num_categories)
    start = to_device(batch_sizes.cumsum(0) - batch_sizes, device)
    place = start[step] + rank
    packed = assigned.new_zeros(int(batch_sizes.sum()), assigned.shape[1]).index_copy(0, place, assigned)
    states = gru(PackedSequence(packed, batch_sizes))[0].data.index_select(0, place)  # [M, D], after each item
    # Row 0 is the state of a category without items, row n the state after the n-th item of the batch.
    states = torch.cat([states.new_zeros(1, states.shape[1]), states])
    number = torch.arange(1, num_items + 1, device=device).unsqueeze(1)
    latest = (F.one_hot(category, num_categories) * number).cummax(dim=0).values  # [M, K], of any sequence so far
    latest = latest * (latest > first.unsqueeze(1))
    return F.embedding(latest, states, padding_idx=0), latest > 0


def steps_and_ranks(subsequence: Tensor, num_subsequences: int) -> tuple[Tensor, Tensor]:
    """Where a ``PackedSequence`` of subsequences holds items that are given in time order.

    Args:
        subsequence: ``[M]``, the subsequence that each item belongs to, in ``range(num_subsequences)``.

    Returns:
        Position of each item in its subsequence, from 0, ``[M]``; and rank of its subsequence when all are sorted by
        length, longest first, ``[M]``.
    """
    device = subsequence.device
    item = torch.arange(len(subsequence), device=device)
    lengths = torch.zeros(num_subsequences, dtype=torch.long, device=device)
    lengths = lengths.index_add(0, subsequence, torch.ones_like(subsequence))
    by_subsequence = subsequence.argsort(stable=True)
    step = torch.empty_like(subsequence)
    step[by_subsequence] = item - (lengths.cumsum(0) - lengths)[subsequence[by_subsequence]]
    rank = torch.empty_like(lengths)
    rank[lengths.argsort(descending=True, stable=True)] = torch.arange(num_subsequences, device=device)
    return step, rank[subsequence]


def batch_sizes_of(step: Tensor, lengths: Tensor, num_categories: int) -> Tensor:
    """Number of subsequences at each step, on the CPU as PyTorch requires; an upper bound if ``step`` is on a GPU."""
    return torch.bincount(step) if step.device.type == "cpu" else largest_batch_sizes(lengths, num_categories)


def largest_batch_sizes(lengths: Tensor, num_categories: int) -> Tensor:
    """Largest possible number of subsequences at each step, whatever the categories are.

    In a sequence of n items, at most ``n // s`` categories have s items or more. With this bound the scan does not wait
    for a GPU, but the GRU reads up to twice as many items.

    Args:
        lengths: ``[B]``, of the sequences.
    """
    steps = torch.arange(1, int(lengths.max()) + 1)
    return (lengths.unsqueeze(1) // steps).clamp_max(num_categories).sum(0)
