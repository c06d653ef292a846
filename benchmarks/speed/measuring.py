"""What a child process measures of a call: its time, its memory, and the rate of matrix products to compare it with."""

from __future__ import annotations

import resource
import sys
import time
from typing import Callable

import torch

LEAST_REPEATS = 2
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes that ``ru_maxrss`` counts in."""


def peak_memory(call: Callable[[], object], device: str) -> float:
    """Megabytes that the process needs at the worst moment of ``call`` above what it needed before.

    On a CPU this is the growth of the process's high-water mark, so nothing larger may have been allocated before.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    before = high_water_mark()
    call()
    return (high_water_mark() - before) / 1e6


def times(call: Callable[[], object], device: str, seconds: float, most: int) -> list[float]:
    """Milliseconds of each of ``most`` calls, or of fewer, at least two, where ``seconds`` pass before."""
    result: list[float] = []
    end = time.perf_counter() + seconds
    while len(result) < LEAST_REPEATS or len(result) < most and time.perf_counter() < end:
        _synchronize(device)
        start = time.perf_counter()
        call()
        _synchronize(device)
        result.append(1e3 * (time.perf_counter() - start))
    return result


def matrix_rate(dtype: torch.dtype, device: str, size: int) -> float:
    """GFLOP/s of the product of two square matrices, the best of several."""
    left, right, product = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(3))

    def multiply() -> None:
        torch.mm(left, right, out=product)

    multiply()
    return 2 * size**3 / 1e6 / min(times(multiply, device, seconds=2, most=20))


def high_water_mark() -> int:
    """The most bytes that the process has held so far."""
    return RSS_UNIT * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
