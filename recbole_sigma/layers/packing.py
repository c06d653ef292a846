"""Sequences that lie one behind another without padding, and the few padded groups in which attention reads them."""

from __future__ import annotations

from typing import Callable, NamedTuple

import torch
from torch import Tensor, nn

from recbole_sigma.ops import InterestScan, interest_scan
from recbole_sigma.ops.transfer import to_device


class Packing:
    """How ``B`` sequences of ``M`` items in all lie in flat tensors ``[M, ...]``, and where attention reads them.

    Attention reads sequences of similar length together, padded on the right to the longest of their group: in a
    flat tensor of ``P`` places, group by group, longest sequences first. A group's longest sequence is less than
    twice as long as its shortest.

    All that decides a shape is known on the CPU, so that no step waits for a GPU.

    Args:
        lengths: ``[B]``, items of each sequence, on the CPU; 0 is allowed.
        device: of the flat tensors.

    Attributes:
        lengths: as given.
        longest: items of the longest sequence.
        position: ``[M]``, place of each item in its sequence, from 0, on the device.
        last: ``[B]``, index of the last item of each sequence that has one, on the device.
        groups: number of sequences and padded length of each group.
    """

    def __init__(self, lengths: Tensor, device: torch.device | str = "cpu") -> None:
        self.lengths = lengths
        self.device = torch.device(device)
        end = lengths.cumsum(0)
        self.num_items = int(end[-1]) if len(end) else 0
        position = torch.arange(self.num_items) - self._repeat(end - lengths)
        order = lengths.argsort(descending=True, stable=True)[: int(lengths.count_nonzero())]
        self.groups = _groups(lengths[order])
        self.longest = self.groups[0][1] if self.groups else 0
        counts, widths = torch.tensor(self.groups, dtype=torch.long).view(-1, 2).unbind(1)
        widths = widths.repeat_interleave(counts)
        self.num_places = int(widths.sum())
        start = torch.empty_like(lengths)
        start[order] = widths.cumsum(0) - widths
        self._place = self._on_device(self._repeat(start) + position)
        self.position = self._on_device(position)
        self.last = self._on_device(end - 1)

    def _repeat(self, value: Tensor) -> Tensor:
        return value.repeat_interleave(self.lengths, output_size=self.num_items)

    def _on_device(self, index: Tensor) -> Tensor:
        return to_device(index, self.device)

    def spread(self, value: Tensor) -> Tensor:
        """A value of each sequence ``[B]``, on the CPU, at each of its items: ``[M]``, on the device."""
        return self._on_device(self._repeat(value))

    def group(self, x: Tensor) -> Tensor:
        """``[M, D]`` to ``[P, D]``, zero at the padding."""
        return x.new_zeros(self.num_places, x.shape[1]).index_copy(0, self._place, x)

    def ungroup(self, x: Tensor) -> Tensor:
        """``[P, D]`` to ``[M, D]``."""
        return x.index_select(0, self._place)

    def by_group(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """A function of padded sequences ``[b, t, D]``, called for each group; ``[M, D]`` to its results ``[M, E]``."""
        grouped = self.group(x).split([count * length for count, length in self.groups])
        results = [
            function(rows.view(count, length, -1)).flatten(0, 1) for rows, (count, length) in zip(grouped, self.groups)
        ]
        return self.ungroup(torch.cat(results))

    def interest_scan(
        self, items: Tensor, probability: Tensor, assigned: Tensor, category: Tensor, gru: nn.GRU
    ) -> InterestScan:
        """State of every interest after each of the M items; arguments as for ``ops.interest_scan``."""
        return interest_scan(items, probability, assigned, category, self.lengths, gru)


def _groups(lengths: Tensor) -> list[tuple[int, int]]:
    """Number of sequences and longest one of each group of falling lengths: a new one begins where they have halved."""
    halvings = (lengths[:1] / lengths).log2().floor().long()
    counts = [count for count in halvings.bincount().tolist() if count]
    first = torch.tensor([0, *counts], dtype=torch.long).cumsum(0)[:-1]
    return list(zip(counts, lengths[first].tolist()))


def pack(item_seq: Tensor) -> tuple[Tensor, Packing]:
    """Sequences without their padding.

    Args:
        item_seq: ``[B, T]`` with 0 as the padding, wherever it stands.

    Returns:
        The M items that are left, ``[M]``, and their packing.
    """
    mask = item_seq != 0
    return item_seq[mask], Packing(mask.sum(1).cpu(), item_seq.device)


class TrainingBatch(NamedTuple):
    """Sequences without padding, and their targets."""

    items: Tensor  # [M]
    packing: Packing
    target: Tensor  # [N]
    at_target: Tensor | None  # [N], index among the M items of those that have a target; None if all have, in order

    def select(self, x: Tensor) -> Tensor:
        """What stands at the items that have a target: ``[M, ...]`` to ``[N, ...]``."""
        return x if self.at_target is None else x.index_select(0, self.at_target)
