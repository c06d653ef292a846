"""What validation and test consist of: users, rows and targets, who is left out and why, and a digest of the pairs."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_sigma.wording import counted
from recbole_sigma.data.repeats import repeats

MOST_LENGTHS = 4
"""Users who are left out are counted by their number of interactions, unless there are more numbers."""


class HeldOut(NamedTuple):
    """The rows of a phase, validation or test.

    Attributes:
        users: number of users with a row.
        rows: number of rows that are averaged: a ranked list each, or a pair of a user and an item that has a label.
        targets: number of interactions that are held out; an item counts once in a ranked list.
        repeats: how many of the targets their users had before.
        left_out: number of users without a row, by the reason.
        pairs: ``[P]``, uint64, sorted: a hash of the tokens of each different pair of a user and a target.
    """

    users: int
    rows: int
    targets: int
    repeats: int
    left_out: dict[str, int]
    pairs: np.ndarray

    def counts(self) -> dict:
        """Plain data; ``digest`` is the same for models with the same pairs of users and targets."""
        entries = self._asdict()
        digest = hashlib.sha256(np.ascontiguousarray(entries.pop("pairs")).data).hexdigest()
        return {**entries, "digest": digest[:16]}


def held_out(dataset, loader) -> HeldOut:
    """Describe the rows of a loader of validation or test.

    Args:
        dataset: the whole data set, after ``build``.
        loader: as ``create_loaders`` makes it, or None for a phase without rows.
    """
    interactions = getattr(dataset, "interactions", dataset.inter_feat)
    length = np.bincount(interactions[dataset.uid_field].numpy(), minlength=dataset.user_num)
    if loader is None:
        return HeldOut(0, 0, 0, 0, _reasons(dataset, length, length == 0), np.empty(0, np.uint64))
    rows = loader.dataset.inter_feat
    users, items = rows[dataset.uid_field].numpy(), rows[dataset.iid_field].numpy()
    present = np.bincount(users, minlength=dataset.user_num) > 0
    num_targets, num_repeats = repeats(loader)
    return HeldOut(
        int(present.sum()),
        len(row_users(loader)),
        num_targets,
        num_repeats,
        _reasons(dataset, length, present | (length == 0)),
        _pairs(dataset, users, items),
    )


def evaluated_users(phase: str, counts: dict) -> str:
    """A sentence on a phase, "validated" or "tested", from ``HeldOut.counts``."""
    num_left_out = sum(counts["left_out"].values())
    left_out = ", ".join(f"{number:,} {reason}" for reason, number in counts["left_out"].items())
    if not counts["users"]:
        return f"no user is {phase}: eval_args leave no interaction of {counted(num_left_out, 'user')} for it"
    if num_left_out:
        users = f"{counts['users']:,} of {counted(num_left_out + counts['users'], 'user')}"
    else:
        users = f"all {counted(counts['users'], 'user')}"
    said = f"{phase}: {users} on {counted(counts['targets'], 'interaction')}"
    return said + (f"; left out: {left_out}" if left_out else "")


def row_users(loader) -> np.ndarray:
    """The user of each row that is averaged, ``[R]``, in the order of the loader."""
    by_user = getattr(loader, "uid_list", None)
    return np.asarray(loader.dataset.inter_feat[loader.dataset.uid_field] if by_user is None else by_user)


def _reasons(dataset, length: np.ndarray, present: np.ndarray) -> dict[str, int]:
    """Why users have no row: too few interactions, or none in this part of the time or of the files.

    Args:
        length: ``[U]``, number of interactions of each user, 0 for the padding.
        present: ``[U]``, whether a user has a row; also where the length is 0.
    """
    missing = length[~present]
    if not len(missing):
        return {}
    if not (present & (length > 0)).any():
        return {"without an interaction in this part": len(missing)}
    if dataset.benchmark_filename_list is not None:
        return {"not in the file of this part": len(missing)}
    if missing.max() < length[present & (length > 0)].min():
        return _by_length(missing)
    if hasattr(dataset, "interactions"):
        return {"without an interaction in this part that has an earlier one": len(missing)}
    return {"without an interaction in this part": len(missing)}


def _by_length(length: np.ndarray) -> dict[str, int]:
    numbers, counts = np.unique(length, return_counts=True)
    if len(numbers) > MOST_LENGTHS:
        return {f"with {numbers[0]} to {numbers[-1]} interactions": len(length)}
    return {"with " + counted(int(number), "interaction"): int(count) for number, count in zip(numbers, counts)}


def _pairs(dataset, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    user, item = (
        pd.util.hash_array(np.asarray(dataset.field2id_token[field], dtype=object), categorize=False)
        for field in (dataset.uid_field, dataset.iid_field)
    )
    mixed = (user[users] * np.uint64(0x9E3779B97F4A7C15)) ^ item[items]
    return np.unique(mixed)
