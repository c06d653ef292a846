"""What the filters removed from a data set, and how large it is."""

from __future__ import annotations

from functools import wraps
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_sigma.wording import counted


class Removed(NamedTuple):
    """Numbers of interactions, and of users who had no other, that a filter removed."""

    interactions: int
    users: int


def counts_removed(reason: str):
    """Decorator of a filter of a data set: counts in ``removed`` what it removes from ``inter_feat``."""

    def decorate(filter_rows):
        @wraps(filter_rows)
        def counting(self, *args):
            before = self.inter_feat[self.uid_field]
            filter_rows(self, *args)
            after = self.inter_feat[self.uid_field]
            if len(after) < len(before):
                self.removed[reason] = Removed(len(before) - len(after), before.nunique() - after.nunique())

        return counting

    return decorate


def describe_size(dataset) -> str:
    """A few lines: users, items and interactions without the padding, columns, and what filters removed."""
    size = size_of(dataset)
    users, items, interactions = (size[name] for name in ("users", "items", "interactions"))
    lines = [
        f"{dataset.dataset_name}: {users:,} users, {items:,} items, {interactions:,} interactions "
        f"({interactions / users:.1f} of each user, {interactions / items:.1f} of each item)",
        *(f"removed: {words}" for words in removed_words(size)),
        f"columns: {', '.join(dataset.field2type)}",
    ]
    if hasattr(dataset, "kg_feat"):
        lines.append(
            f"knowledge graph: {dataset.entity_num - 1:,} entities, {dataset.relation_num - 1:,} relations, "
            f"{len(dataset.kg_feat):,} triples, {len(dataset.item2entity):,} items that are linked"
        )
    return "\n".join(lines)


def removed_words(size: dict, other: dict | None = None) -> list[str]:
    """What each filter removed, in words, from ``size_of``; with another size, only what that one did not remove."""
    removed = size["removed"]
    if other is not None:
        removed = {by: counts for by, counts in removed.items() if other["removed"].get(by) != counts}
    return [
        counted(counts["interactions"], "interaction")
        + (f" and {counted(counts['users'], 'user')}" if counts["users"] else "")
        + f" ({by})"
        for by, counts in removed.items()
    ]


def _number_of(ids) -> int:
    return len(pd.unique(np.asarray(ids)))


def size_of(dataset) -> dict:
    """Numbers of ``users``, ``items`` and ``interactions`` after filtering, and what was ``removed`` by each filter."""
    rows = getattr(dataset, "interactions", dataset.inter_feat)
    users, items = (_number_of(rows[field]) for field in (dataset.uid_field, dataset.iid_field))
    removed = {by: counts._asdict() for by, counts in dataset.removed.items()}
    return {"users": users, "items": items, "interactions": len(rows), "removed": removed}
