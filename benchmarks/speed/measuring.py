"""Time and memory of a call in a child process, and the rate of matrix products to compare it with."""

from __future__ import annotations

import resource
import sys
import time
from typing import Callable

import torch

LEAST_REPEATS = 2
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in a unit of ``ru_maxrss``."""


def peak_memory(call: Callable[[], object], device: str) -> float:
    """Peak memory of ``call`` in MB, above the memory that the process needed before.

    On a CPU this is the growth of the process's high-water mark, so the process must not have needed more before.
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
    """Milliseconds of each call; there are ``most`` calls, or fewer (at least two) if ``seconds`` have passed.

    Not by ``torch.utils.benchmark``, which gives means over blocks of calls and sets its own number of threads.
    """
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
    """GFLOP/s of the product of two square matrices, the best of several calls."""
    left, right, product = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(3))

    def multiply() -> None:
        torch.mm(left, right, out=product)

    multiply()
    return 2 * size**3 / 1e6 / min(times(multiply, device, seconds=2, most=20))


def high_water_mark() -> int:
    """The largest number of bytes that the process has held so far."""
    return RSS_UNIT * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
