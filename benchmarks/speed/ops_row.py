"""A program that measures one implementation of a loss on one shape, and prints the result as JSON.

Its only argument is JSON, with the arguments of ``measure``.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed.measuring import peak_memory, times
from benchmarks.speed.ops import SAMPLES
from recbole_sigma.ops import interest_cross_entropy, sampled_interest_cross_entropy

WARM_UP = (32, 512)
"""Rows and items of a first small step, which loads libraries and starts threads."""


def measure(
    loss: str,
    inputs: str,
    products: str,
    shape: tuple[int, int, int, int],
    device: str,
    threads: int | None,
    seconds: float,
    most: int,
) -> dict:
    """Measure the peak memory in MB of the first step, and the milliseconds of each later step.

    Args:
        loss: one of ``LOSSES``.
        inputs, products: names of data types; if they differ, the products run in autocast.
        shape: N, K, V and D.
        threads: for torch, or None for its default.
        seconds, most: as in ``times``.
    """
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    dtypes = getattr(torch, inputs), getattr(torch, products)
    n, k, v, d = shape
    _step(LOSSES[loss], (min(n, WARM_UP[0]), k, min(v, WARM_UP[1]), d), *dtypes, device)()
    step = _step(LOSSES[loss], (n, k, v, d), *dtypes, device)
    return {"memory": peak_memory(step, device), "times": times(step, device, seconds, most)}


def _step(
    loss: Callable[..., Tensor],
    shape: tuple[int, int, int, int],
    inputs: torch.dtype,
    products: torch.dtype,
    device: str,
) -> Callable[[], None]:
    """A function that runs forward and backward; the first call allocates the gradients."""
    n, k, v, d = shape
    u = torch.empty(n, k, d, dtype=inputs, device=device).normal_().requires_grad_()
    E = torch.empty(v, d, dtype=inputs, device=device).normal_(std=d**-0.5).requires_grad_()
    target = torch.randint(v, (n,), device=device)

    def step() -> None:
        u.grad = E.grad = None
        with torch.autocast(device, dtype=products, enabled=products != inputs):
            value = loss(u, E, target)
        value.sum().backward()

    return step


def _baseline(u: Tensor, E: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy((u @ E.T).max(1).values, target)


def _pytorch(u: Tensor, E: Tensor, target: Tensor) -> Tensor:
    """PyTorch's own operation in chunks (since 2.13)."""
    return F.linear_cross_entropy(u.squeeze(1), E, target, options=torch.nn.LinearCrossEntropyOptions())


def _liger(u: Tensor, E: Tensor, target: Tensor) -> Tensor:
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    return LigerFusedLinearCrossEntropyLoss()(E, u.squeeze(1), target)


def _cut_cross_entropy(u: Tensor, E: Tensor, target: Tensor) -> Tensor:
    from cut_cross_entropy import linear_cross_entropy

    return linear_cross_entropy(u.squeeze(1), E, target)


LOSSES = {
    "baseline": _baseline,
    "naive": partial(interest_cross_entropy, impl="naive"),
    "tiled": partial(interest_cross_entropy, impl="tiled"),
    "triton": partial(interest_cross_entropy, impl="triton"),
    "pytorch": _pytorch,
    "liger": _liger,
    "cut_cross_entropy": _cut_cross_entropy,
    "sampled": partial(sampled_interest_cross_entropy, num_samples=SAMPLES),
}


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
