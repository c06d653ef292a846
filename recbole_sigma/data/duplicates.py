"""Rows of interactions that are there twice."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_sigma.wording import counted


def without_duplicates(rows: pd.DataFrame, key: Sequence[str], drop: bool, name: str) -> pd.DataFrame:
    """Interactions without those that equal an earlier one in every column, if ``drop``; otherwise a warning counts them.

    Args:
        rows: interactions, with categories or numbers in the columns of ``key``.
        key: columns of users, items and times.
        drop: whether to drop them.
        name: of the data set.
    """
    duplicate = exact_duplicates(rows, key)
    count = int(duplicate.sum())
    if not count:
        return rows
    is_there = "is" if count == 1 else "are"
    if drop:
        logging.getLogger().info(f"drop_duplicates: {counted(count, 'interaction')} of {name} {is_there} left out")
        return rows[~duplicate]
    logging.getLogger().warning(
        f"{counted(count, 'interaction')} of {len(rows):,} of {name} {is_there} an exact copy of an earlier row, so that "
        "the item before the target may be the target itself. If these are no events of their own, set "
        "drop_duplicates: true"
    )
    return rows


def exact_duplicates(rows: pd.DataFrame, key: Sequence[str]) -> np.ndarray:
    """Whether each row equals an earlier one in every column, ``[M]``; ``key`` names columns that are quick to compare."""
    result = np.zeros(len(rows), dtype=bool)
    place = np.flatnonzero(_is_repeated(_hashes([_comparable(rows[name]) for name in key])))
    if not len(place):
        return result
    part = pd.DataFrame({name: _comparable(rows[name].iloc[place]) for name in rows})
    result[place] = part.duplicated().to_numpy()
    return result


def _hashes(columns: list[np.ndarray]) -> np.ndarray:
    """A number for each row, equal for equal rows and nearly always different for others."""
    result = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        if column.dtype == object:
            column = pd.factorize(column)[0]
        bits = (column.astype(np.float64) + 0.0).view(np.uint64)  # -0.0 equals 0.0
        result = (result ^ bits ^ (bits >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
        result ^= result >> np.uint64(29)
    return result


def _is_repeated(numbers: np.ndarray) -> np.ndarray:
    """Whether each number is there more than once; sorting is faster than a hash table."""
    ordered = np.sort(numbers)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return pd.Series(numbers).isin(repeated).to_numpy() if len(repeated) else np.zeros(len(numbers), dtype=bool)


def _comparable(column: pd.Series) -> np.ndarray:
    """Numbers, codes of categories, or bytes of sequences."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy()
    if len(column) and isinstance(column.iloc[0], (list, np.ndarray)):
        return np.array([np.asarray(value).tobytes() for value in column], dtype=object)
    return column.to_numpy()


class Repeats(NamedTuple):
    """How often rows of a table say the same again.

    Attributes:
        duplicates: rows that equal an earlier one.
        repeats: other rows with the user and the item of another one, at another time or with another rating.
    """

    duplicates: int
    repeats: int


class RowLog:
    """Users, items and numbers of all rows of a table, block by block; 16 bytes a row, or 24 with ratings."""

    def __init__(self) -> None:
        self.users: dict[str, int] = {}
        self.items: dict[str, int] = {}
        self._blocks: list[pd.DataFrame] = []

    def add(self, users: pd.Series, items: pd.Series, numbers: Sequence[pd.Series]) -> None:
        """Add a block; ``numbers`` begin with the times."""
        block = {"user": _ids(users, self.users), "item": _ids(items, self.items)}
        block.update({str(place): column.to_numpy() for place, column in enumerate(numbers)})
        self._blocks.append(pd.DataFrame(block))

    def counts(self) -> Repeats:
        rows = pd.concat(self._blocks, ignore_index=True)
        duplicates = int(rows.duplicated().sum())
        return Repeats(duplicates, int(rows.duplicated(["user", "item"]).sum()) - duplicates)

    def kept(self, repeats: bool) -> np.ndarray:
        """Which rows stay, ``[M]``: the first of equal ones or, with ``repeats``, a user's earliest one with each item."""
        rows = pd.concat(self._blocks, ignore_index=True)
        if not repeats:
            return ~rows.duplicated().to_numpy()
        earliest = rows.sort_values("0", kind="stable").drop_duplicates(["user", "item"]).index
        return np.isin(np.arange(len(rows)), earliest)


def _ids(tokens: pd.Series, ids: dict[str, int]) -> np.ndarray:
    codes, uniques = pd.factorize(tokens.to_numpy(dtype=object))
    of_unique = np.fromiter((ids.setdefault(token, len(ids)) for token in uniques), np.int32, len(uniques))
    return of_unique[codes]
