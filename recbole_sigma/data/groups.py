"""Rows grouped by a key and split group by group, without a list for each group."""

from __future__ import annotations

from typing import Iterator, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse


class Groups(NamedTuple):
    """Groups of rows in the order in which they first appear; it iterates over the row numbers of each group.

    ``rows [N]`` holds the numbers of the rows group by group, ``length [G]`` how many each group has.
    """

    rows: np.ndarray
    length: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(np.split(self.rows, self.length.cumsum()[:-1]))

    def split(self, counts: np.ndarray) -> list[np.ndarray]:
        """Row numbers of each part, which has the next ``counts[g, part]`` rows of each group: ``[G, P]``."""
        num_groups, num_parts = counts.shape
        part = np.repeat(np.tile(np.arange(num_parts, dtype=np.int8), num_groups), counts.ravel())
        return [self.rows[part == number].astype(np.int64) for number in range(num_parts)]


def group_rows(key: np.ndarray) -> Groups:
    """Group rows by small integers ``[N]``."""
    appearing = pd.unique(key)
    number = np.zeros(key.max(initial=0) + 1, dtype=np.int32)
    number[appearing] = np.arange(len(appearing))
    return Groups(*sort_rows(number[key], len(appearing)))


def sort_rows(key: np.ndarray, num_keys: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort rows by integers ``[N]`` below ``num_keys``, equal ones in their order, in linear time.

    Returns:
        Row numbers ``[N]``, and how often each key occurs.
    """
    mark = np.ones(len(key), dtype=np.int8)
    rows = np.arange(len(key), dtype=np.int32)
    by_key = sparse.coo_matrix((mark, (key, rows)), shape=(num_keys, len(key))).tocsr()
    return by_key.indices, np.diff(by_key.indptr)


def leave_out_counts(length: np.ndarray, num_held_out: int) -> np.ndarray:
    """Rows in training and in each part held out, ``[G, 1 + num_held_out]``.

    Each part has one row of a group, the last part its last one; a group's first row always stays in training.
    """
    held_out = np.arange(num_held_out, 0, -1) < length[:, None]
    return np.column_stack([length - held_out.sum(1), held_out])
