"""Histories of users, from lists of tokens and from files of any size."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recbole_sigma.data.tables import Columns, read_table, to_seconds
from recbole_sigma.errors import RequestError
from recbole_sigma.recommend.catalog import Catalog
from recbole_sigma.recommend.grouping import Interactions, whole_users
from recbole_sigma.wording import counted

ROWS = 2**20
"""Interactions that are sorted in memory at once."""


class Histories(NamedTuple):
    """The items of ``B`` users, one user after the other, each in time order.

    ``M`` items are known to the catalog.
    """

    users: np.ndarray  # [B], tokens
    items: Tensor  # [M], ids
    lengths: Tensor  # [B]
    unknown: np.ndarray  # [B], number of items that the catalog does not know
    times: Tensor | None = None  # [M], float64, in seconds, or None if they are not given

    def batches(self, size: int) -> Iterator[Histories]:
        """Parts of at most ``size`` users."""
        ends = torch.cat([torch.zeros(1, dtype=torch.long), self.lengths.cumsum(0)])
        for start in range(0, len(self.users), size):
            stop = min(start + size, len(self.users))
            rows, flat = slice(start, stop), slice(int(ends[start]), int(ends[stop]))
            yield Histories(
                self.users[rows],
                self.items[flat],
                self.lengths[rows],
                self.unknown[rows],
                None if self.times is None else self.times[flat],
            )


def _make(users: np.ndarray, ids: np.ndarray, row: np.ndarray, times: np.ndarray | None) -> Histories:
    """From the ids of items, 0 for unknown ones, the rows that they belong to, in order, and their times, if any."""
    known = ids > 0
    lengths = np.bincount(row[known], minlength=len(users))
    unknown = np.bincount(row[~known], minlength=len(users))
    return Histories(
        users,
        torch.from_numpy(ids[known]),
        torch.from_numpy(lengths),
        unknown,
        None if times is None else torch.from_numpy(times[known]),
    )


def from_tokens(
    histories: Sequence[Sequence[str]],
    catalog: Catalog,
    users: Sequence[str] | None = None,
    times: Sequence[Sequence[float | str]] | None = None,
) -> Histories:
    """Histories from lists of item tokens, oldest first; an integer stands for the token that looks like it.

    Args:
        histories: ``B`` lists.
        catalog: the known items.
        users: ``B`` tokens.
        times: ``B`` lists with the time of each item: numbers, or dates in the form of ISO 8601.

    Raises:
        RequestError: they are no lists of tokens, there are not as many users or times, or times are no times.
    """
    if isinstance(histories, (str, bytes)) or not isinstance(histories, Iterable):
        raise RequestError(f"histories is {histories!r}; expected a list of histories, each a list of item tokens")
    histories = list(histories)
    for number, history in enumerate(histories):
        if isinstance(history, (str, bytes)) or not isinstance(history, Iterable):
            raise RequestError(
                f"history {number} is {history!r}; expected a list of item tokens, such as [{history!r}]"
            )
    histories = [list(history) for history in histories]
    for number, token in ((number, token) for number, history in enumerate(histories) for token in history):
        if not isinstance(token, (str, int, np.integer)) or isinstance(token, bool):
            raise RequestError(f"history {number} has {token!r}; expected item tokens, which are strings")
    if users is not None and len(users) != len(histories):
        raise RequestError(
            f"users has {counted(len(users), 'token')}; expected one for each history: {len(histories):,}"
        )
    for user in users if users is not None else ():
        if not isinstance(user, (str, int, np.integer)) or isinstance(user, bool):
            raise RequestError(f"users has {user!r}; expected user tokens, which are strings")
    names = np.array([""] * len(histories) if users is None else list(map(str, users)), dtype=object)
    row = np.repeat(np.arange(len(histories)), [len(history) for history in histories]).astype(np.int64)
    seconds = None if times is None else _seconds(times, histories)
    return _make(names, catalog.ids(map(str, chain.from_iterable(histories))), row, seconds)


def _seconds(times: Sequence[Sequence[float | str]], histories: list[list]) -> np.ndarray:
    """The times of the items of all histories, float64."""
    if len(times) != len(histories):
        raise RequestError(f"there are {len(times)} lists of times and {len(histories)} histories; expected as many")
    for number, (own, history) in enumerate(zip(times, histories)):
        if isinstance(own, (str, bytes)) or not isinstance(own, Iterable):
            raise RequestError(f"the times of history {number} are {own!r}; expected a list with the time of each item")
        if len(own) != len(history):
            raise RequestError(
                f"history {number} has {counted(len(history), 'item')} and {counted(len(own), 'time')}; expected a time "
                "for each item"
            )
        for time in own:
            if not isinstance(time, (str, int, float, np.number)) or isinstance(time, bool):
                raise RequestError(f"history {number} has the time {time!r}; expected a number, or a date as a string")
    flat = list(chain.from_iterable(times))
    if not flat:
        return np.zeros(0)
    seconds = to_seconds(pd.Series(flat, dtype=object)).to_numpy()
    wrong = np.flatnonzero(~np.isfinite(seconds))
    if len(wrong):
        raise RequestError(
            f"times has {flat[wrong[0]]!r}; expected numbers, or dates such as 2026-01-31T12:00:00, not both"
        )
    ends = np.cumsum([len(own) for own in times])
    for number, own in enumerate(np.split(seconds, ends[:-1])):
        if (np.diff(own) < 0).any():
            raise RequestError(f"the times of history {number} are not in order; expected the oldest item first")
    return seconds


class HistoryFile:
    """Histories from a table of interactions in any order, some users at a time.

    Memory does not depend on the number of users; see ``whole_users``. The users of a file with up to ``ROWS``
    interactions come in the order of their first rows. The histories have times if the table has a column of them.

    Args:
        path, columns, separator, encoding: of the table; see ``data.tables.read_table``.
        catalog: the known items.

    Attributes:
        num_interactions: how many were read so far: all of them when the first users come.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        columns: Columns,
        catalog: Catalog,
        separator: str = "\t",
        encoding: str | None = None,
    ):
        self.path, self.columns, self.catalog = path, columns, catalog
        self.layout = {"separator": separator, "encoding": encoding}
        self.num_interactions = 0

    def __iter__(self) -> Iterator[Histories]:
        """
        Raises:
            DataError: the table cannot be read, or has no rows.
        """
        self.num_interactions = 0
        return map(self._sorted, whole_users(self._encoded(), ROWS))

    def _encoded(self) -> Iterator[Interactions]:
        user, item, time, _ = self.columns
        for frame in read_table(self.path, self.columns, **self.layout):
            self.num_interactions += len(frame)
            order = frame.index if time is None else frame[time]
            users = frame[user].to_numpy(dtype=object)
            yield Interactions(users, self.catalog.ids(frame[item]), order.to_numpy(dtype=np.float64))

    def _sorted(self, interactions: Interactions) -> Histories:
        row, users = pd.factorize(interactions.user)
        order = np.lexsort((interactions.time, row))  # stable
        times = None if self.columns.time is None else interactions.time[order]
        return _make(users, interactions.item[order], row[order], times)
