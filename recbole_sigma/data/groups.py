"""Rows grouped by a key and split group by group, without a list for each group."""

from __future__ import annotations

from typing import Iterator, NamedTuple

import numpy as np
import pandas as pd


class Groups(NamedTuple):
    """Groups of rows in the order in which they first appear; it iterates over the row numbers of each group.

    ``rows [N]`` holds the numbers of the rows group by group, ``length [G]`` how many each group has.
    """

    rows: np.ndarray
    length: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(np.split(self.rows, self.length.cumsum()[:-1]))

    def split(self, counts: np.ndarray) -> list[np.ndarray]:
        """Row numbers of each part, which has the next ``counts[g, part]`` rows of each group: ``[G, P]`` -> P arrays."""
        num_groups, num_parts = counts.shape
        part = np.repeat(np.tile(np.arange(num_parts, dtype=np.int8), num_groups), counts.ravel())
        return [self.rows[part == number] for number in range(num_parts)]


def group_rows(key: np.ndarray) -> Groups:
    """Group rows by small integers ``[N]``."""
    appearing = pd.unique(key)
    number = np.empty(key.max(initial=0) + 1, dtype=np.uint32)
    number[appearing] = np.arange(len(appearing), dtype=np.uint32)
    group = number[key]
    return Groups(stable_order(group), np.bincount(group, minlength=len(appearing)))


def stable_order(key: np.ndarray) -> np.ndarray:
    """Row numbers that sort integers from 0 to 2**32 - 1, equal ones in their order, in linear time."""
    low, high = key.astype(np.uint16), (key >> 16).astype(np.uint16)  # numpy has a radix sort for 16 bits only
    order = np.argsort(low, kind="stable")
    return order[np.argsort(high[order], kind="stable")] if high.any() else order


def leave_out_counts(length: np.ndarray, num_held_out: int) -> np.ndarray:
    """Rows in training and in each part held out, ``[G, 1 + num_held_out]``.

    Each part has one row of a group, the last part its last one; a group's first row always stays in training.
    """
    held_out = np.arange(num_held_out, 0, -1) < length[:, None]
    return np.column_stack([length - held_out.sum(1), held_out])
