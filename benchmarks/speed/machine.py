"""A program that prints, as JSON, what the numbers of a benchmark depend on, and the rates of matrix products.

Its one argument is the arguments of ``describe`` as JSON.
"""

from __future__ import annotations

import json
import sys

import torch

from benchmarks.machine import describe_machine, versions
from benchmarks.speed.measuring import matrix_rate


def describe(threads: int | None, quick: bool) -> dict:
    """
    Args:
        threads: for torch, or None for its default.
        quick: whether the rates come from small matrices.
    """
    if threads:
        torch.set_num_threads(threads)
    machine = describe_machine()
    size = 256 if quick else {"cpu": 2048, "cuda": 8192}[machine["device"]]
    rates = {name: matrix_rate(getattr(torch, name), machine["device"], size) for name in ("float32", "bfloat16")}
    return {**machine, "versions": versions(), "rates": rates}


if __name__ == "__main__":
    print(json.dumps(describe(**json.loads(sys.argv[1]))))
