"""Groups of about equal size, and the mean of a group."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Group(NamedTuple):
    """Rows whose values lie between two bounds, both included.

    Attributes:
        rows: indices of the rows.
    """

    low: int
    high: int
    rows: np.ndarray

    @property
    def label(self) -> str:
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,}–{self.high:,}"


def quantile_groups(values: np.ndarray, number: int) -> list[Group]:
    """Cut integers ``[R]`` at their quantiles into at most ``number`` groups; equal values stay together.

    ``pandas.qcut`` merges the smallest value with the next group, also if it fills a quantile by itself.
    """
    if not len(values):
        return []
    cuts = np.quantile(values, np.arange(1, number) / number, method="lower")
    member = np.searchsorted(np.unique(cuts[cuts < values.max()]), values)
    parts = (np.flatnonzero(member == group) for group in range(member.max() + 1))
    return [Group(int(values[rows].min()), int(values[rows].max()), rows) for rows in parts]


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean, and its standard error: NaN for a single value."""
    if len(values) < 2:
        return float(values.mean()), float("nan")
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)
