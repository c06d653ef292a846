"""GELU for batches of many sizes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class GELU(nn.Module):
    """As ``torch.nn.GELU``; on a CPU it uses PyTorch's own kernel.

    PyTorch prefers the kernel of oneDNN there, which is compiled and kept for each shape. When every step has another
    number of rows, compiling takes longer than the function itself, and the kernels take hundreds of megabytes.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.gelu(x)
        return _Gelu.apply(x)


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        with _without_onednn():
            return F.gelu(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        with _without_onednn():
            return torch.ops.aten.gelu_backward(grad, x)


@contextmanager
def _without_onednn() -> Iterator[None]:
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before
