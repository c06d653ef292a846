"""A program that measures the scan, or a part of it, on one batch of sequences, and prints the result as JSON.

Its only argument is JSON, with the arguments of ``measure``.
"""

from __future__ import annotations

import json
import sys
from typing import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from benchmarks.speed.measuring import peak_memory, times
from recbole_sigma.ops import interest_scan
from recbole_sigma.ops.interest_scan.packed import steps_and_ranks


def measure(what: str, case: dict, device: str, threads: int | None) -> dict:
    """Measure the peak memory in MB of the first step and the milliseconds of each later step, and count the items.

    Args:
        what: an implementation of ``interest_scan``, "gru" or "padded_sums".
        case: ``users``, ``mean_length``, ``longest``, ``k`` and ``d``.
        threads: for torch, or None for its default.
    """
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    _step(what, _lengths(2, 3, 5), case["k"], case["d"], device)()
    lengths = _lengths(case["users"], case["mean_length"], case["longest"])
    step = _step(what, lengths, case["k"], case["d"], device)
    return {
        "memory": peak_memory(step, device),
        "times": times(step, device, seconds=2, most=50),
        "items": int(lengths.sum()),
    }


def _lengths(users: int, mean: int, longest: int) -> Tensor:
    if mean == longest:
        return torch.full((users,), longest)
    return (torch.empty(users).exponential_(1 / mean) + 1).long().clamp(max=longest)


def _step(what: str, lengths: Tensor, k: int, d: int, device: str) -> Callable[[], None]:
    lengths = lengths.to(device)
    num_items = int(lengths.sum())
    items = torch.randn(num_items, d, device=device, requires_grad=True)
    probability = torch.rand(num_items, k, device=device).softmax(-1).requires_grad_()
    category = torch.randint(k, (num_items,), device=device)
    gru = nn.GRU(d, d).to(device)
    sequence = torch.arange(len(lengths)).repeat_interleave(lengths.cpu())
    batch_sizes = torch.bincount(steps_and_ranks(sequence * k + category.cpu(), len(lengths) * k)[0])
    mask = torch.arange(int(lengths.max()), device=device) < lengths.unsqueeze(1)

    def forward() -> Tensor:
        if what == "gru":
            return gru(PackedSequence(items, batch_sizes))[0].data.sum()
        if what == "padded_sums":
            shape = mask.shape
            padded_items = items.new_zeros(*shape, d).masked_scatter(mask.unsqueeze(-1), items)
            padded_probability = items.new_zeros(*shape, k).masked_scatter(mask.unsqueeze(-1), probability)
            return (padded_probability.unsqueeze(-1) * padded_items.unsqueeze(2)).cumsum(1)[mask].sum()
        scan = interest_scan(items, probability, items, category, lengths, gru, impl=what)
        return scan.soft.sum() + scan.intensity.sum() + scan.hard.sum()

    def step() -> None:
        items.grad = probability.grad = None
        gru.zero_grad()
        forward().backward()

    return step


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
