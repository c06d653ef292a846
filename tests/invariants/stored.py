"""Numbers of the version that ``expected.json`` was recorded with, and the comparison with them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

PATH = Path(__file__).with_name("expected.json")
TOLERANCE = 1e-5
"""Relative and absolute: other CPUs give other last digits."""
DIGITS, DECIMALS = 7, 8

same_draws = pytest.mark.skipif(
    not torch.backends.mkl.is_available(), reason="PyTorch draws other numbers without MKL, such as on Arm"
)

recorded: dict[str, Any] | None = None
"""What ``check`` is given, where it is to be recorded and not compared."""


def check(key: str, found: Any, tolerance: float = TOLERANCE) -> None:
    """Compare plain data with what is stored under a key: numbers within the tolerance, all else exactly."""
    if recorded is not None:
        recorded[key] = rounded(found)
        return
    different = list(_differences(found, _expected()[key], tolerance))
    assert not different, f"{key}: {len(different)} values differ\n" + "\n".join(different[:20])


def rounded(value: Any) -> Any:
    """Plain data with few digits."""
    if isinstance(value, float):
        return round(float(f"{value:.{DIGITS}g}"), DECIMALS)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def write(values: dict[str, Any]) -> None:
    """Write the file, with a line for each key."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in sorted(values.items())]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


@cache
def _expected() -> dict[str, Any]:
    return json.loads(PATH.read_text(encoding="utf-8"))


def _differences(found: Any, expected: Any, tolerance: float, place: str = "") -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        for key in expected:
            yield from _differences(found[key], expected[key], tolerance, f"{place}/{key}")
    elif isinstance(expected, list) and isinstance(found, (list, tuple)) and len(found) == len(expected):
        for number, pair in enumerate(zip(found, expected)):
            yield from _differences(*pair, tolerance, f"{place}/{number}")
    elif isinstance(expected, float) and isinstance(found, float):
        if not math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance):
            yield f"{place}: {found!r}; expected {expected!r}"
    elif found != expected:
        yield f"{place}: {_short(found)}; expected {_short(expected)}"


def _short(value: Any) -> str:
    return str(sorted(value) if isinstance(value, dict) else value)[:300]
