"""The machine and the versions that a benchmark ran on."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from recbole_sigma.version import __version__

ROOT = Path(__file__).parents[1]
CODE = ["recbole_sigma", "properties", "dataset_configs", "benchmarks/*.py"]
"""Code that decides a number. The benchmarks' YAML files are not part of it: records hold their settings."""
BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


def describe_machine() -> dict:
    """Describe CPU, GPU, memory in bytes, and the number of torch's threads, as plain data."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "device": device,
        "threads": torch.get_num_threads(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        **_cpu(),
        **_gpu(device),
    }


def versions() -> dict[str, str]:
    """Versions of Python, the plugin and its dependencies, and the commit of the code if it has one."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": _triton_version(),
        **{name: version(name) for name in ("recbole", "numpy", "pandas")},
        "recbole_sigma": __version__,
        **_commit(),
    }


def _commit() -> dict[str, str]:
    """The commit of the code, with a "+" if tracked code is modified; empty without a repository or git."""
    if not (ROOT / ".git").exists():
        return {}
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        modified = _git("status", "--porcelain", "--untracked-files=no", "--", *CODE)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": commit + ("+" if modified else "")}


def _git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), "--no-optional-locks", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


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
