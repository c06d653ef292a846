"""Between the items of a batch of sequences, one behind the other, and their places in the padded batch."""

from __future__ import annotations

from torch import Tensor


def pad(x: Tensor, mask: Tensor) -> Tensor:
    """``[N, ...]`` at the ``N`` True places of ``mask`` ``[B, T]``, in order, and zeros elsewhere: ``[B, T, ...]``.

    The inverse is ``padded[mask]``.
    """
    padded = x.new_zeros(*mask.shape, *x.shape[1:])
    return padded.masked_scatter(mask.view(*mask.shape, *[1] * (x.dim() - 1)), x)
