"""A program that prints the machine, the versions and the rates of matrix products as JSON.

Its only argument is JSON, with the arguments of ``describe``.
"""

from __future__ import annotations

import json
import sys

import torch

from benchmarks.machine import describe_machine, versions
from benchmarks.speed.measuring import matrix_rate


def describe(threads: int | None, quick: bool) -> dict:
    """Describe the machine and the versions, and measure the rates in GFLOP/s.

    Args:
        threads: for torch, or None for its default.
        quick: whether to measure the rates on small matrices.
    """
    if threads:
        torch.set_num_threads(threads)
    machine = describe_machine()
    size = 256 if quick else {"cpu": 2048, "cuda": 8192}[machine["device"]]
    rates = {name: matrix_rate(getattr(torch, name), machine["device"], size) for name in ("float32", "bfloat16")}
    return {**machine, "versions": versions(), "rates": rates}


if __name__ == "__main__":
    print(json.dumps(describe(**json.loads(sys.argv[1]))))
