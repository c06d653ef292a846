"""Items by token, id and title."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from recbole_sigma.errors import CheckpointError


class Catalog:
    """The items of a checkpoint; id 0 is the padding.

    Attributes:
        tokens: ``[V]``.
        titles: ``[V]``, empty where there is none.
        by_popularity: ids ``[V - 1]``, most training interactions first.
        popularity: ``[V]``, number of training interactions.
    """

    def __init__(self, description: dict, item_field: str):
        self.tokens = _column(description.get("tokens"), item_field, None)
        size = len(self.tokens)
        self.popularity = _column(description, "popularity", size)
        titles = description.get("titles")
        self.titles = np.full(size, "", dtype=object) if titles is None else _column(description, "titles", size)
        self.by_popularity = 1 + (-self.popularity[1:]).argsort(kind="stable")
        self._id_of_token = {token: id_ for id_, token in enumerate(self.tokens)}
        del self._id_of_token[self.tokens[0]]

    def __len__(self) -> int:
        """Number of items, without the padding."""
        return len(self.tokens) - 1

    def ids(self, tokens: Iterable[str]) -> np.ndarray:
        """Ids of tokens, 0 for unknown tokens."""
        return np.fromiter((self._id_of_token.get(token, 0) for token in tokens), dtype=np.int64)

    @property
    def has_titles(self) -> bool:
        return bool(self.titles.astype(bool).any())

    def names(self, tokens: Iterable[str]) -> list[str]:
        """Token and title of items by their tokens."""
        return [self.name(id_) for id_ in self.ids(tokens)]

    def name(self, id_: int) -> str:
        """Token and title of an item."""
        token, title = self.tokens[id_], self.titles[id_]
        return f"{token}  {title}" if title else str(token)


def _column(description, name: str, size: int | None) -> np.ndarray:
    values = description.get(name) if isinstance(description, dict) else None
    if not isinstance(values, np.ndarray) or values.ndim != 1 or len(values) < 2 or size not in (None, len(values)):
        raise CheckpointError(f"the checkpoint is damaged: its items are missing ({name})")
    return values
