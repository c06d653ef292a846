"""How many targets of an evaluation are repeats: items that their user had before."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Targets(NamedTuple):
    """The ``P`` positive items of the ranked rows of a loader; an item comes once in a row, as in the metrics.

    Attributes:
        row: ``[P]``, number of the ranked list.
        repeated: ``[P]``, whether the user had the item before.
    """

    row: Tensor
    repeated: Tensor


def targets(loader) -> Targets:
    """The targets of a ``FullSortLoader`` or a ``SampledLoader``, whatever its rule."""
    rows = loader.dataset.inter_feat
    num_items = loader.dataset.item_num
    pair = loader.list_of_targets() * num_items + rows[loader.dataset.iid_field]
    pair, index = pair.unique(return_inverse=True)
    num_new = index[~loader.seen.repeated(rows)].bincount(minlength=len(pair))
    return Targets(pair // num_items, num_new == 0)


def repeats(loader) -> tuple[int, int]:
    """Number of targets of a loader, and how many of them their users had before.

    The whole history counts, not only the part that the model reads. A target that a user has several times in one
    ranked list counts once.
    """
    repeated = targets(loader).repeated
    return len(repeated), int(repeated.sum())


def highest_recall(loader, k: int) -> float:
    """The Recall@k of a ranking that finds everything it may list where items seen before are removed.

    A list with n targets, of which m are not repeats, can have min(m, k) / n; this is the mean over the lists.
    """
    row, repeated = targets(loader)
    count = row.bincount()
    new = row[~repeated].bincount(minlength=len(count)).clamp(max=k)
    ranked = count > 0
    return float((new[ranked].double() / count[ranked]).mean())
