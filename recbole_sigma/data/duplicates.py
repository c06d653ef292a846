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
    user, item = (_codes(rows[name]).astype(np.int64) for name in key[:2])
    pair = pd.Series(user * (1 + item.max()) + item)
    result = np.zeros(len(rows), dtype=bool)
    place = np.flatnonzero(pair.duplicated(keep=False).to_numpy())
    for columns in (key, list(rows)):  # most rows need no comparison of all columns
        part = pd.DataFrame({name: _comparable(rows[name].iloc[place]) for name in columns})
        place = place[part.duplicated(keep=False).to_numpy()]
    part = pd.DataFrame({name: _comparable(rows[name].iloc[place]) for name in rows})
    result[place] = part.duplicated().to_numpy()
    return result


def _codes(column: pd.Series) -> np.ndarray:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy()
    return pd.factorize(column)[0]


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
