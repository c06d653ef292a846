"""Token columns as integer codes. RecBole handles a string for every row; here each distinct token is handled once."""

from __future__ import annotations

from functools import partial
from typing import Callable

import numpy as np
import pandas as pd

ROWS = 1 << 21
"""Number of rows whose strings are in memory at once."""


def read_columns(read_csv: Callable, path: str, **settings) -> pd.DataFrame:
    """Read an atomic file block by block, as ``read_csv`` does, with columns of tokens as categories.

    The categories are not made by pandas: pandas 3.1 turns them into numbers if all tokens of a column look like
        numbers.
    """
    with read_csv(path, chunksize=ROWS, low_memory=False, **settings) as blocks:
        block = next(blocks)
        most = _most_rows(path) if len(block) == ROWS else len(block)
        columns = {
            name: _Tokens(most) if name.endswith(":token") else _Values(most, block[name].dtype) for name in block
        }
        while block is not None:
            for name, column in columns.items():
                column.append(block[name])
            block = next(blocks, None)
    return pd.DataFrame({name: column.whole() for name, column in columns.items()}, copy=False)


def _most_rows(path: str) -> int:
    with open(path, "rb") as file:
        return 1 + sum(block.count(b"\n") + block.count(b"\r") for block in iter(partial(file.read, 1 << 22), b""))


class _Values:
    """A column that is filled block by block, in an array that is allocated once."""

    def __init__(self, most: int, dtype):
        self.array = np.empty(most, dtype=dtype)
        self.length = 0

    def append(self, block: pd.Series) -> None:
        start, self.length = self.length, self.length + len(block)
        self.array[start : self.length] = self.values_of(block)

    def values_of(self, block: pd.Series) -> np.ndarray:
        return block.to_numpy()

    def whole(self) -> np.ndarray | pd.Categorical:
        return self.array[: self.length]


class _Tokens(_Values):
    """A column of tokens as codes, numbered in the order in which the tokens first appear."""

    def __init__(self, most: int):
        super().__init__(most, np.int32)
        self.tokens = pd.Index([], dtype=object)

    def values_of(self, block: pd.Series) -> np.ndarray:
        codes, own = pd.factorize(block.to_numpy())
        code_of_own = self.tokens.get_indexer(own)
        new = code_of_own < 0
        code_of_own[new] = len(self.tokens) + np.arange(new.sum())
        self.tokens = self.tokens.append(pd.Index(own[new], dtype=object))
        return np.append(code_of_own, -1)[codes]

    def whole(self) -> pd.Categorical:
        return pd.Categorical.from_codes(super().whole(), self.tokens)


def is_categorical(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype)


def token_codes(column: pd.Series) -> tuple[np.ndarray, pd.Index]:
    """Codes ``[N]``, -1 for a missing token, and the tokens ``[T]`` by code."""
    if is_categorical(column):
        return column.array.codes, column.cat.categories.astype(object)
    codes, tokens = pd.factorize(column)
    return codes, pd.Index(tokens, dtype=object)


def ids_by_first_appearance(columns: list[pd.Series]) -> tuple[list[np.ndarray], np.ndarray]:
    """Number the tokens of several columns together, from 1, in the order in which they first appear.

    Returns:
        The ids of each column, 0 for a missing token, and the tokens by id, ``[PAD]`` for 0.
    """
    codes, tokens_of_columns = zip(*map(token_codes, columns))
    tokens = tokens_of_columns[0].append(list(tokens_of_columns[1:])).unique()
    common = [np.append(tokens.get_indexer(own), -1) for own in tokens_of_columns]  # the last one for the code -1
    appearing = pd.unique(np.concatenate([to_common[pd.unique(own)] for own, to_common in zip(codes, common)]))
    appearing = appearing[appearing >= 0]
    id_of_token = np.zeros(len(tokens) + 1, dtype=np.int64)
    id_of_token[appearing] = np.arange(1, len(appearing) + 1)
    ids = [id_of_token[to_common][own] for own, to_common in zip(codes, common)]
    return ids, np.array(["[PAD]", *tokens[appearing]])


class TokenCounts:
    """How often each token of a column occurs in the interactions that remain.

    Attributes:
        codes: ``[N]``, tokens of the remaining interactions.
        features_left: which rows of the file of users or items remain, if there is such a file.
    """

    def __init__(
        self,
        column: pd.Series,
        features: pd.Series | None,
        is_allowed: Callable[[np.ndarray], np.ndarray] | None,
        least: float,
    ):
        """
        Args:
            column: ``[N]``, without missing tokens.
            features: tokens of the file of users or items.
            is_allowed: which counts are allowed; None allows all, and then nothing is counted.
            least: tokens of ``features`` that occur less often are banned as well.
        """
        self.codes, tokens = token_codes(column)
        self.is_allowed, self.least = is_allowed, least
        self.counts = np.zeros(len(tokens) + 1, dtype=np.int64)  # the last one for features without interactions
        if is_allowed:
            self.counts += np.bincount(self.codes, minlength=len(self.counts))
        self.feature_codes = None if features is None else tokens.get_indexer(features.astype(object))
        self.features_left = None if features is None else np.ones(len(features), dtype=bool)

    def ban(self) -> np.ndarray:
        """Which tokens ``[T + 1]`` have a count that is not allowed; their rows of features are removed."""
        banned = np.zeros(len(self.counts), dtype=bool)
        if self.is_allowed:
            banned = (self.counts > 0) & ~self.is_allowed(self.counts)
        if self.feature_codes is not None:
            left = self.feature_codes[self.features_left]
            banned[left[self.counts[left] < self.least]] = True
            self.features_left &= ~banned[self.feature_codes]
        return banned

    def drop(self, dropped: np.ndarray) -> None:
        """Remove interactions; ``dropped`` ``[N]`` is a mask over those that remained so far."""
        if self.is_allowed:
            self.counts -= np.bincount(self.codes[dropped], minlength=len(self.counts))
        self.codes = self.codes[~dropped]


def rows_within_counts(users: TokenCounts, items: TokenCounts) -> np.ndarray:
    """Which interactions ``[N]`` remain after removing those of banned users and items until none is banned."""
    left = np.ones(len(users.codes), dtype=bool)
    while True:
        banned_users, banned_items = users.ban(), items.ban()
        if not (banned_users.any() or banned_items.any()):
            return left
        dropped = banned_users[users.codes] | banned_items[items.codes]
        left[left] = ~dropped
        users.drop(dropped)
        items.drop(dropped)
