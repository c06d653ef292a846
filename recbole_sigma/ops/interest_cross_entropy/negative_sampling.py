"""Items that stand for the catalog in a sampled softmax."""

from __future__ import annotations

import math

import torch
from torch import Tensor

PROPOSALS = ("uniform", "log-uniform")


def sample_negatives(num_items: int, num_samples: int, proposal: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw with replacement from a distribution Q over the items, and correct for it.

    Returns:
        Rows of the items ``[num_samples]`` in ascending order, and the logarithm of the weight with which each
        stands for the catalog ``[num_samples]``: its number of draws over ``num_samples Q``, at the first place of
        an item that was drawn more than once, and minus infinity at its others.
    """
    uniform = torch.rand(num_samples, dtype=torch.float64, device=device)
    if proposal == "uniform":
        rows = uniform * num_items
    else:
        rows = torch.exp(uniform * math.log(num_items + 1)) - 1
    rows = rows.long().clamp_(max=num_items - 1).sort().values
    first = torch.searchsorted(rows, rows)
    draws = torch.searchsorted(rows, rows, right=True) - first
    log_weight = draws.double().log() - math.log(num_samples) - log_probability(rows, num_items, proposal)
    repeated = first != torch.arange(num_samples, device=device)
    return rows, log_weight.masked_fill_(repeated, -math.inf)


def log_probability(rows: Tensor, num_items: int, proposal: str) -> Tensor:
    """``log Q`` of items, shaped as ``rows``, float64."""
    if proposal == "uniform":
        return torch.full(rows.shape, -math.log(num_items), dtype=torch.float64, device=rows.device)
    return torch.log(torch.log1p(1 / (rows.double() + 1)) / math.log(num_items + 1))
