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
        by_popularity: ids ``[V - 1]``, those with the most training interactions first.
        popularity: ``[V]``, training interactions.
    """

    def __init__(self, description: dict, item_field: str):
        try:
            self.tokens = np.asarray(description["tokens"][item_field], dtype=object)
            self.popularity = np.asarray(description["popularity"])
            titles = description["titles"]
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"the checkpoint does not say what its items are: {error} is missing") from error
        self.titles = np.full(len(self.tokens), "", dtype=object) if titles is None else titles
        self.by_popularity = 1 + (-self.popularity[1:]).argsort(kind="stable")
        self._id_of_token = {token: id_ for id_, token in enumerate(self.tokens)}
        del self._id_of_token[self.tokens[0]]

    def __len__(self) -> int:
        """Number of items, without the padding."""
        return len(self.tokens) - 1

    def ids(self, tokens: Iterable[str]) -> np.ndarray:
        """Ids of tokens, 0 for those that are not known."""
        return np.fromiter((self._id_of_token.get(token, 0) for token in tokens), dtype=np.int64)

    @property
    def has_titles(self) -> bool:
        return bool(self.titles.astype(bool).any())

    def name(self, id_: int) -> str:
        """Token and title of an item."""
        token, title = self.tokens[id_], self.titles[id_]
        return f"{token}  {title}" if title else str(token)
