"""Group rows by a key and split them group by group, without a Python list for each group."""

from __future__ import annotations

from typing import Iterator, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse


class Groups(NamedTuple):
    """Groups of rows, in the order of their first rows. Iteration yields the row numbers of each group.

    Attributes:
        rows: ``[N]``, row numbers, group by group.
        length: ``[G]``, number of rows of each group.
    """

    rows: np.ndarray
    length: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(np.split(self.rows, self.length.cumsum()[:-1]))

    def split(self, counts: np.ndarray) -> list[np.ndarray]:
        """Row numbers of each of ``P`` parts; part p gets the next ``counts[g, p]`` rows of group g, ``[G, P]``."""
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
    """Sort rows by integers ``[N]`` from 0 to ``num_keys - 1``, stably and in linear time.

    Returns:
        Row numbers ``[N]``, and the number of rows of each key.
    """
    mark = np.ones(len(key), dtype=np.int8)
    rows = np.arange(len(key), dtype=np.int32)
    by_key = sparse.coo_matrix((mark, (key, rows)), shape=(num_keys, len(key))).tocsr()
    return by_key.indices, np.diff(by_key.indptr)


def leave_out_counts(length: np.ndarray, num_held_out: int) -> np.ndarray:
    """Number of rows of each group in training and in each held-out part, ``[G, 1 + num_held_out]``.

    A held-out part gets one row of a group, and the last part gets its last row. The first row of a group always stays
    in training.
    """
    held_out = np.arange(num_held_out, 0, -1) < length[:, None]
    return np.column_stack([length - held_out.sum(1), held_out])
