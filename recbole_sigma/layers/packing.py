"""Packed variable-length sequences, and the padded buckets that attention runs on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Callable, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from recbole_sigma.deprecation import renamed_method
from recbole_sigma.ops.prefix_sums import PrefixSums, reach_of
from recbole_sigma.ops.transfer import to_device
from recbole_sigma.precision import at_least_float32, no_autocast


class Packing:
    """Where the items of ``B`` sequences lie in flat tensors ``[M, ...]`` without padding.

    Sequences lie one after the other, each in time order. Attention reads them in buckets: sequences of similar
    length, padded on the right to the longest of their bucket. A bucket's longest sequence is less than twice as long
    as its shortest. All buckets together are a flat tensor of ``P`` places, longest sequences first.

    Everything that decides a shape is known on the CPU, so no training step waits for a GPU.

    Args:
        lengths: ``[B]``, number of items of each sequence, on the CPU; 0 is allowed.
        device: device of the flat tensors.

    Attributes:
        lengths: as given.
        longest: number of items of the longest sequence.
        position: ``[M]``, position of each item in its sequence, from 0, on the device.
        last: ``[B]``, index of the last item of each sequence, on the device; meaningless for an empty sequence.
        buckets: number of sequences and padded length of each bucket.
    """

    def __init__(self, lengths: Tensor, device: torch.device | str = "cpu") -> None:
        self.lengths = lengths
        self.device = torch.device(device)
        self._end = lengths.cumsum(0)
        self.num_items = int(self._end[-1]) if len(lengths) else 0
        self._position = torch.arange(self.num_items) - self._repeat(self._end - lengths)  # on the CPU
        self._longest_first = lengths.argsort(descending=True, stable=True)[: int(lengths.count_nonzero())]
        self.buckets = _buckets(lengths[self._longest_first])
        self.longest = self.buckets[0][1] if self.buckets else 0
        counts, widths = torch.tensor(self.buckets, dtype=torch.long).view(-1, 2).unbind(1)
        widths = widths.repeat_interleave(counts)
        self.num_places = int(widths.sum())
        start = torch.empty_like(lengths)
        start[self._longest_first] = widths.cumsum(0) - widths
        self._place = self._on_device(self._repeat(start) + self._position)
        self.position = self._on_device(self._position)
        self.last = self._on_device(self._end - 1)

    def _repeat(self, value: Tensor) -> Tensor:
        return value.repeat_interleave(self.lengths, output_size=self.num_items)

    def _on_device(self, index: Tensor) -> Tensor:
        return to_device(index, self.device)

    @cached_property
    def mirror(self) -> Tensor:
        """``[M]``, index of the item that is as far from the end of its sequence as this one is from the start.

        ``x[packing.mirror]`` has every sequence in reversed order.
        """
        return self._on_device(self._repeat(self._end - 1) - self._position)

    @cached_property
    def sequence(self) -> Tensor:
        """``[M]``, index of the sequence of each item, on the device."""
        return self.repeat(torch.arange(len(self.lengths)))

    def repeat(self, value: Tensor) -> Tensor:
        """Repeat a value of each sequence ``[B]``, on the CPU, for each of its items: ``[M]``, on the device."""
        return self._on_device(self._repeat(value))

    spread = renamed_method("spread", repeat)

    @cached_property
    def _reach(self) -> list[Tensor]:
        return [self._on_device(index) for index in reach_of(self._position)]

    def subset(self, sequences: Tensor) -> tuple[Packing, Tensor]:
        """The packing of some sequences, given by their indices on the CPU, and the indices of their items among the M."""
        packing = Packing(self.lengths[sequences], self.device)
        start = (self._end - self.lengths)[sequences]
        return packing, packing.repeat(start) + packing.position

    def prefix_sums(self, x: Tensor) -> Tensor:
        """Sums ``[M, ...]`` over the items of the same sequence up to and including each item, in float32 or wider.

        The sums of a sequence are the same in every batch, to the bit.
        """
        return PrefixSums.apply(at_least_float32(x), *self._reach)

    def segment_sums(self, x: Tensor) -> Tensor:
        """Sums over each sequence: ``[M, ...]`` to ``[B, ...]``; 0 for an empty sequence.

        They are the prefix sums at the last items.
        """
        totals = self.prefix_sums(x).index_select(0, self._on_device(self._end[self._longest_first] - 1))
        sums = totals.new_zeros(len(self.lengths), *x.shape[1:])
        return sums.index_copy(0, self._on_device(self._longest_first), totals)

    def recurrent(self, network: nn.RNNBase, x: Tensor) -> Tensor:
        """States of a unidirectional recurrent network, such as ``nn.GRU``, after each item: ``[M, D]`` to ``[M, E]``.

        The network starts from zeros for every sequence, and runs in float32 or wider, also inside autocast.
        """
        if not self.num_items:
            return x.new_zeros(0, network.hidden_size)
        batch_sizes = torch.bincount(self._position)
        rank = torch.empty_like(self.lengths)
        rank[self._longest_first] = torch.arange(len(self._longest_first))
        step_start = batch_sizes.cumsum(0) - batch_sizes
        place = self._on_device(step_start[self._position] + self._repeat(rank))
        x = at_least_float32(x)
        packed = torch.empty_like(x).index_copy(0, place, x)  # first items of all sequences, second items, ...
        with no_autocast(x):
            states = network(PackedSequence(packed, batch_sizes))[0].data
        return states.index_select(0, place)

    def to_buckets(self, x: Tensor) -> Tensor:
        """``[M, D]`` to ``[P, D]``, zero at the padding."""
        return x.new_zeros(self.num_places, x.shape[1]).index_copy(0, self._place, x)

    def from_buckets(self, x: Tensor) -> Tensor:
        """``[P, D]`` to ``[M, D]``."""
        return x.index_select(0, self._place)

    def by_bucket(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Apply a function of padded sequences, ``[b, t, D]`` to ``[b, t, E]``, to each bucket.

        The padding is on the right and zero; the results at the padding are dropped.

        Args:
            function: called once for each bucket.
            x: ``[M, D]``.

        Returns:
            ``[M, E]``.
        """
        padded = self.to_buckets(x).split([count * length for count, length in self.buckets])
        results = [
            function(rows.view(count, length, -1)).flatten(0, 1) for rows, (count, length) in zip(padded, self.buckets)
        ]
        return self.from_buckets(torch.cat(results))

    by_group = renamed_method("by_group", by_bucket)


def _buckets(lengths: Tensor) -> list[tuple[int, int]]:
    """Number of sequences and longest length of each bucket; a new bucket starts where the falling lengths halve."""
    halvings = (lengths[:1] / lengths).log2().floor().long()
    counts = [count for count in halvings.bincount().tolist() if count]
    first = torch.tensor([0, *counts], dtype=torch.long).cumsum(0)[:-1]
    return list(zip(counts, lengths[first].tolist()))


def pack(item_seq: Tensor) -> tuple[Tensor, Packing]:
    """Remove the padding of sequences.

    Args:
        item_seq: ``[B, T]`` with 0 as the padding, at any position.

    Returns:
        The M items that remain, ``[M]``, and their packing.
    """
    mask = item_seq != 0
    return item_seq[mask], Packing(mask.sum(1).cpu(), item_seq.device)


class TrainingBatch(NamedTuple):
    """Packed sequences and their targets.

    Attributes:
        items: ``[M]``, ids.
        packing: of the M items.
        target: ``[N]``, ids.
        at_target: ``[N]``, indices among the M items of those that have a target; None if all have one, in order.
        fields: what the model declares that it reads besides the items: ``times`` ``[M]`` and ``users`` ``[B]``.
    """

    items: Tensor
    packing: Packing
    target: Tensor
    at_target: Tensor | None
    fields: Mapping[str, Tensor] = MappingProxyType({})

    def select(self, x: Tensor) -> Tensor:
        """The entries at the items that have a target: ``[M, ...]`` to ``[N, ...]``."""
        return x if self.at_target is None else x.index_select(0, self.at_target)

    def sample(self, share: float) -> SampledBatch:
        """A share of the sequences, rounded up, drawn anew by PyTorch's generator of the CPU.

        It is the whole batch if not every item has a target.
        """
        num_sequences = len(self.packing.lengths)
        num_drawn = math.ceil(share * num_sequences)
        if num_drawn == num_sequences or self.at_target is not None:
            return SampledBatch(self, None, 1.0)
        drawn = torch.randperm(num_sequences)[:num_drawn]
        packing, index = self.packing.subset(drawn)
        part = TrainingBatch(self.items[index], packing, self.target[index], None)
        return SampledBatch(part, index, num_sequences / num_drawn)


class SampledBatch(NamedTuple):
    """Some sequences of a batch, without its fields.

    Attributes:
        batch: the sequences.
        index: ``[m]``, indices of their items among the M of the whole batch; None for all, in order.
        scale: by which sums over the targets are multiplied: number of all sequences over that of these, so that the
            expected value of a sum is the sum over the whole batch.
    """

    batch: TrainingBatch
    index: Tensor | None
    scale: float

    def rows(self, x: Tensor) -> Tensor:
        """The entries of these sequences' items: ``[M, ...]`` to ``[m, ...]``."""
        return x if self.index is None else x.index_select(0, self.index)

    def select(self, x: Tensor) -> Tensor:
        """The entries of these sequences' items that have a target: ``[M, ...]`` to ``[n, ...]``."""
        return self.batch.select(self.rows(x))
