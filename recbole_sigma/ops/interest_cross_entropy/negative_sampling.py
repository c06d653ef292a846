"""Negative items that a sampled softmax draws from the catalog."""

from __future__ import annotations

import math

import torch
from torch import Tensor

PROPOSALS = ("uniform", "log-uniform")


def sample_negatives(
    num_items: int,
    num_samples: int,
    proposal: str,
    device: torch.device | str,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw items with replacement from a distribution Q, with weights that correct for Q.

    Args:
        num_items: the items are rows 0 to ``num_items - 1``.
        num_samples: number of draws.
        proposal: Q, one of ``PROPOSALS``; "log-uniform" expects items in order of falling popularity.
        device: of the results.
        generator: source of the random numbers, on ``device``; by default PyTorch's.

    Returns:
        Drawn rows ``[num_samples]`` in ascending order, and their log-weights ``[num_samples]``. The weight of an item
        is its number of draws over ``num_samples Q``. The first entry of an item carries its whole weight; the entries
        of its other draws have a log-weight of minus infinity.
    """
    uniform = torch.rand(num_samples, dtype=torch.float64, device=device, generator=generator)
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
    """``log Q`` of items, in the shape of ``rows``, in float64."""
    if proposal == "uniform":
        return torch.full(rows.shape, -math.log(num_items), dtype=torch.float64, device=rows.device)
    return torch.log(torch.log1p(1 / (rows.double() + 1)) / math.log(num_items + 1))
