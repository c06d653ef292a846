"""In which type matrix products run; everything else of a model is in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

CPU_INFO = Path("/proc/cpuinfo")
CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Names in it of instructions that multiply bfloat16 numbers: of Intel and AMD, and of Arm."""

FEW_ROWS = 1536
"""Rows for which layers take as long in float32 as in bfloat16, on two cores of an AMD EPYC with avx512_bf16."""


@cache
def multiplies_bfloat16(device: torch.device | str) -> bool:
    """Whether the device has instructions for it, as far as Linux says; elsewhere such products are slower."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return CPU_INFO.exists() and not CPU_FLAGS.isdisjoint(CPU_INFO.read_text().split())


def autocast(precision: str, device: torch.device | str) -> torch.autocast:
    """A context in which matrix products run in bfloat16, or in the type of their arguments.

    Args:
        precision: "bf16", "float32", or "auto": bfloat16 where the device multiplies it.
    """
    device = torch.device(device)
    enabled = precision == "bf16" or precision == "auto" and multiplies_bfloat16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def no_autocast(like: Tensor) -> torch.autocast:
    """A context in which everything is in the type of its arguments, whatever autocast is on around it."""
    return torch.autocast(like.device.type, enabled=False)


def autocast_if_large(rows: Tensor) -> AbstractContextManager:
    """A context for layers on ``rows`` ``[M, D]``, inside that of ``autocast``: few rows on a CPU stay as they are.

    Every new number of rows needs kernels of its own in bfloat16, which take longer to make than they save.
    """
    return no_autocast(rows) if rows.device.type == "cpu" and len(rows) < FEW_ROWS else nullcontext()
