"""Histories of users: from lists of tokens, and from files of any size."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recbole_sigma.data.tables import Columns, read_table
from recbole_sigma.errors import RequestError
from recbole_sigma.recommend.catalog import Catalog
from recbole_sigma.recommend.grouping import Interactions, whole_users

ROWS = 2**20
"""Interactions that are sorted in memory at once."""


class Histories(NamedTuple):
    """What the users had, one behind the other in the order of time.

    ``B`` users with ``M`` items that the catalog knows.
    """

    users: np.ndarray  # [B], tokens
    items: Tensor  # [M], ids
    lengths: Tensor  # [B]
    unknown: np.ndarray  # [B], items that the catalog does not know

    def batches(self, size: int) -> Iterator[Histories]:
        """Parts of at most ``size`` users."""
        ends = torch.cat([torch.zeros(1, dtype=torch.long), self.lengths.cumsum(0)])
        for start in range(0, len(self.users), size):
            stop = min(start + size, len(self.users))
            rows = slice(start, stop)
            yield Histories(
                self.users[rows], self.items[ends[start] : ends[stop]], self.lengths[rows], self.unknown[rows]
            )


def _make(users: np.ndarray, ids: np.ndarray, row: np.ndarray) -> Histories:
    """From the ids of items, 0 for unknown ones, and the rows that they belong to, in order."""
    known = ids > 0
    lengths = np.bincount(row[known], minlength=len(users))
    unknown = np.bincount(row[~known], minlength=len(users))
    return Histories(users, torch.from_numpy(ids[known]), torch.from_numpy(lengths), unknown)


def from_tokens(histories: Sequence[Sequence[str]], catalog: Catalog, users: Sequence[str] | None = None) -> Histories:
    """Of lists of item tokens, oldest first; integers are taken for the tokens that look like them.

    Raises:
        RequestError: they are no lists of tokens, or not as many as users.
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
        raise RequestError(f"there are {len(users)} users and {len(histories)} histories; expected as many")
    names = np.array([""] * len(histories) if users is None else list(map(str, users)), dtype=object)
    row = np.repeat(np.arange(len(histories)), [len(history) for history in histories]).astype(np.int64)
    return _make(names, catalog.ids(map(str, chain.from_iterable(histories))), row)


class HistoryFile:
    """Histories in a table of interactions in any order, some whole users at a time.

    Memory does not depend on the number of users; see ``whole_users``. In a file of up to ``ROWS`` interactions the
    users come in the order of their first rows.

    Args:
        path, columns, separator, encoding: of the table; see ``data.tables.read_table``.

    Attributes:
        num_interactions: read so far; all of them as soon as the first users come.
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
        return map(_sorted_histories, whole_users(self._encoded(), ROWS))

    def _encoded(self) -> Iterator[Interactions]:
        user, item, time, _ = self.columns
        for frame in read_table(self.path, self.columns, **self.layout):
            self.num_interactions += len(frame)
            order = frame.index if time is None else frame[time]
            users = frame[user].to_numpy(dtype=object)
            yield Interactions(users, self.catalog.ids(frame[item]), order.to_numpy(dtype=np.float64))


def _sorted_histories(interactions: Interactions) -> Histories:
    row, users = pd.factorize(interactions.user)
    order = np.lexsort((interactions.time, row))  # stable
    return _make(users, interactions.item[order], row[order])
