"""The type of matrix products; everything else of a model is in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache, wraps
from pathlib import Path
from typing import Callable

import torch
from torch import Tensor

from recbole_sigma.deprecation import renamed

CPU_INFO = Path("/proc/cpuinfo")
CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Names in ``CPU_INFO`` of instructions that multiply bfloat16 numbers, on Intel, AMD and Arm."""

FEW_ROWS = 1536
"""Number of rows for which layers are as fast in float32 as in bfloat16, on two cores of an AMD EPYC with AVX-512."""


@cache
def multiplies_bfloat16(device: torch.device | str) -> bool:
    """Whether the device multiplies bfloat16 numbers in hardware; on a CPU, as far as Linux reports it."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return CPU_INFO.exists() and not CPU_FLAGS.isdisjoint(CPU_INFO.read_text().split())


def autocast(precision: str | None, device: torch.device | str) -> AbstractContextManager:
    """A context in which matrix products run in bfloat16, or in the type of their arguments.

    Args:
        precision: "bf16", "float32", or "auto": bfloat16 where the device multiplies it. None changes nothing.
    """
    if precision is None:
        return nullcontext()
    device = torch.device(device)
    enabled = precision == "bf16" or precision == "auto" and multiplies_bfloat16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def no_autocast(like: Tensor) -> torch.autocast:
    """A context in which operations run in the type of their arguments, also inside autocast."""
    return torch.autocast(like.device.type, enabled=False)


def without_autocast(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorate a function of tensors so that it runs in ``no_autocast``."""

    @wraps(function)
    def run(*args, **kwargs) -> Tensor:
        first = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        with no_autocast(first):
            return function(*args, **kwargs)

    return run


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32 if its floating-point type is narrower, otherwise as it is."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32)) if tensor.is_floating_point() else tensor


def autocast_if_large(rows: Tensor) -> AbstractContextManager:
    """A context for layers on ``rows`` ``[M, ...]``, inside that of ``autocast``: on a CPU, few rows are not cast.

    In bfloat16, the CPU compiles kernels for every new number of rows; for few rows that takes longer than it saves.
    """
    return no_autocast(rows) if rows.device.type == "cpu" and len(rows) < FEW_ROWS else nullcontext()


__getattr__ = renamed(
    __name__,
    {
        "products": "recbole_sigma.precision:autocast",
        "full": "recbole_sigma.precision:no_autocast",
        "layers": "recbole_sigma.precision:autocast_if_large",
    },
)
