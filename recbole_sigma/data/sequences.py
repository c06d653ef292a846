"""Index arithmetic on sequences that are stored one after the other in a flat tensor.

``M`` elements in total; ``R`` rows, each a slice of the flat tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gather_padded(flat: Tensor, start: Tensor, length: Tensor, width: int) -> Tensor:
    """Slices ``flat[start : start + length]`` as rows, padded with zeros on the right.

    Args:
        flat: ``[M, ...]``.
        start, length: ``[R]``, lengths up to ``width``.

    Returns:
        ``[R, width, ...]``.
    """
    offset = torch.arange(width)
    inside = offset < length.unsqueeze(1)
    rows = flat[(start.unsqueeze(1) + offset).where(inside, 0)]
    return rows.masked_fill(~inside.view(*inside.shape, *[1] * (flat.dim() - 1)), 0)


def gather_ragged(flat: Tensor, start: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Slices ``flat[start : start + length]`` one after the other.

    Returns:
        The row of each element, and the elements.
    """
    row = torch.arange(len(start)).repeat_interleave(length)
    first = (start - (length.cumsum(0) - length)).repeat_interleave(length)
    return row, flat[first + torch.arange(len(row))]


def windows(first: Tensor, last: Tensor, max_length: int) -> tuple[Tensor, Tensor]:
    """Split each sequence into windows of at most ``max_length`` inputs.

    The targets of a window are its inputs moved by one, and every element but the first of a sequence is a target once.
    The last window ends at the last target. Only the first window of a sequence may be shorter than ``max_length``.

    Args:
        first, last: ``[U]``, flat index of the first and the last element of each sequence.

    Returns:
        Start and number of the inputs of each window, both ``[W]``.
    """
    num_targets = last - first
    count = (num_targets + max_length - 1) // max_length
    sequence = torch.arange(len(first)).repeat_interleave(count)
    windows_after = (count.cumsum(0) - 1).repeat_interleave(count) - torch.arange(len(sequence))
    end = last[sequence] - windows_after * max_length
    start = torch.maximum(end - max_length, first[sequence])
    return start, end - start
