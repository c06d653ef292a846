"""Which items a user had before a target, and what evaluation does with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from recbole.utils import ModelType
from torch import Tensor

from recbole_sigma.data.sequences import gather_ragged
from recbole_sigma.data.target_rows import TARGET_INDEX

REMOVED = "removed"
"""Rule of ``remove_seen: true``: no item that the user had before is ranked, so that a repeated target is a miss."""
KEPT = "kept"
"""Rule of ``remove_seen: false``: every item is ranked."""
RECBOLE = "recbole"
"""RecBole's rule: items that the user had before are not ranked, unless they are targets."""
RULES = (REMOVED, KEPT, RECBOLE)


def rule_of(config) -> str:
    """The rule that the settings ask for."""
    return REMOVED if config["remove_seen"] else KEPT


class UnderRule:
    """Mixed into a loader of evaluation rows.

    Attributes:
        rule: one of ``RULES``.
        seen: finds what a user had before a target.
    """

    rule: str
    seen: SeenInSequence | SeenInLists | SeenInSplits

    @contextmanager
    def under(self, rule: str) -> Iterator[None]:
        """Within this context the rows are ranked under another rule."""
        own, self.rule = self.rule, rule
        try:
            yield
        finally:
            self.rule = own


class SeenInSequence:
    """What comes before a target in the user's sequence, however much of it the model reads."""

    def __init__(self, dataset) -> None:
        self._dataset = dataset

    def pairs(self, rows) -> tuple[Tensor, Tensor]:
        """The rows of each item seen before, and the items, both ``[P]``; an item may come several times."""
        items = self._dataset.interactions[self._dataset.iid_field]
        return gather_ragged(items, *self._dataset.seen_before(rows[TARGET_INDEX]))

    def repeated(self, rows) -> Tensor:
        """Whether the user of each row had the target before, ``[R]``."""
        return self._repeated[rows[TARGET_INDEX]]

    @cached_property
    def _repeated(self) -> Tensor:
        """Of each interaction."""
        dataset = self._dataset
        interactions = dataset.interactions
        pair = interactions[dataset.uid_field] * dataset.item_num + interactions[dataset.iid_field]
        pair, order = pair.sort(stable=True)
        repeated = torch.zeros(len(pair), dtype=torch.bool)
        repeated[order[1:]] = pair[1:] == pair[:-1]
        return repeated


class SeenInLists:
    """The lists of rows that were split in advance, of which nothing else is known."""

    def __init__(self, item_field: str, list_field: str) -> None:
        self._item, self._list = item_field, list_field

    def pairs(self, rows) -> tuple[Tensor, Tensor]:
        """As ``SeenInSequence.pairs``."""
        items = rows[self._list]
        row, column = items.nonzero(as_tuple=True)
        return row, items[row, column]

    def repeated(self, rows) -> Tensor:
        """As ``SeenInSequence.repeated``."""
        return (rows[self._list] == rows[self._item].unsqueeze(1)).any(1)


class SeenInSplits:
    """What the user has in the splits before: those of training, and for the test those of validation too."""

    def __init__(self, dataset, earlier: Sequence) -> None:
        """
        Args:
            dataset: the split of the targets.
            earlier: the splits before it.
        """
        self._dataset, self._earlier = dataset, earlier

    def pairs(self, rows) -> tuple[Tensor, Tensor]:
        """As ``SeenInSequence.pairs``; an item comes once."""
        users = rows[self._dataset.uid_field]
        start = torch.searchsorted(self._known, users * self._dataset.item_num)
        end = torch.searchsorted(self._known, (users + 1) * self._dataset.item_num)
        row, pair = gather_ragged(self._known, start, end - start)
        return row, pair % self._dataset.item_num

    def repeated(self, rows) -> Tensor:
        """As ``SeenInSequence.repeated``."""
        return torch.isin(self._numbers(rows), self._known)

    def _numbers(self, rows) -> Tensor:
        """One number for each pair of a user and an item."""
        return rows[self._dataset.uid_field] * self._dataset.item_num + rows[self._dataset.iid_field]

    @cached_property
    def _known(self) -> Tensor:
        """The pairs of the splits before, sorted."""
        parts = [self._numbers(split.inter_feat) for split in self._earlier if len(split)]
        return torch.cat(parts).unique() if parts else torch.zeros(0, dtype=torch.long)


def seen_before(config, dataset, earlier: Sequence) -> SeenInSequence | SeenInLists | SeenInSplits:
    """What finds the items that a user had before the targets of a split.

    Args:
        earlier: the splits before, for models that are not sequential.
    """
    if TARGET_INDEX in dataset.inter_feat:
        return SeenInSequence(dataset)
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        return SeenInLists(dataset.iid_field, dataset.iid_field + config["LIST_SUFFIX"])
    return SeenInSplits(dataset, earlier)
