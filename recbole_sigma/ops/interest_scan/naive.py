"""The definition, in loops over prefixes and categories."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def scan(
    items: Tensor, probability: Tensor, assigned: Tensor, category: Tensor, lengths: Tensor, gru: nn.GRU
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As ``interest_scan``."""
    soft, intensity, hard, present = [], [], [], []
    start = 0
    for length in lengths.tolist():
        for stop in range(start + 1, start + length + 1):
            prefix = slice(start, stop)
            soft.append(probability[prefix].T @ items[prefix])
            intensity.append(probability[prefix].mean(0))
            of_category = [assigned[prefix][category[prefix] == k] for k in range(probability.shape[1])]
            hard.append(
                torch.stack([gru(own)[0][-1] if len(own) else torch.zeros_like(items[0]) for own in of_category])
            )
            present.append(torch.tensor([len(own) > 0 for own in of_category], device=items.device))
        start += length
    return torch.stack(soft), torch.stack(intensity), torch.stack(hard), torch.stack(present)
