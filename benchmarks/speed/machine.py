"""A program that prints, as JSON, what the numbers of a benchmark depend on, and the rates of matrix products.

Its one argument is the arguments of ``describe`` as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.speed.measuring import matrix_rate
from recbole_sigma.version import __version__

BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


def describe(threads: int | None, quick: bool) -> dict:
    """
    Args:
        threads: for torch, or None for its default.
        quick: whether the rates come from small matrices.
    """
    if threads:
        torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 256 if quick else {"cpu": 2048, "cuda": 8192}[device]
    return {
        "device": device,
        "threads": torch.get_num_threads(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "triton": _triton_version(),
            **{name: version(name) for name in ("recbole", "numpy", "pandas")},
            "recbole_sigma": __version__,
        },
        "rates": {name: matrix_rate(getattr(torch, name), device, size) for name in ("float32", "bfloat16")},
        **_cpu(),
        **_gpu(device),
    }


def _triton_version() -> str:
    if importlib.util.find_spec("triton") is None:
        return "none"
    import triton

    return triton.__version__


def _cpu() -> dict:
    path = Path("/proc/cpuinfo")
    info = path.read_text() if path.exists() else ""
    model = re.search(r"^model name\s*: (.*)$", info, re.MULTILINE)
    return {
        "cpu": model[1].strip() if model else platform.machine(),
        "cores": os.cpu_count(),
        "flags": {flag: flag in info.split() for flag in BFLOAT16_FLAGS},
    }


def _gpu(device: str) -> dict:
    if device == "cpu":
        return {"gpu": "none", "gpu_memory": 0}
    properties = torch.cuda.get_device_properties(0)
    return {"gpu": properties.name, "gpu_memory": properties.total_memory}


if __name__ == "__main__":
    print(json.dumps(describe(**json.loads(sys.argv[1]))))
