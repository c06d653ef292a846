"""Training, validation and test."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from tests.reference.tables import Row


class Split(NamedTuple):
    """Rows of each part.

    ``train`` has the interactions that a model may learn from. ``valid`` and ``test`` have those to be predicted.
    ``targets`` has those of ``train`` that are predicted in training by a model of sequences: all but each user's
    first.
    """

    train: list[Row]
    valid: list[Row]
    test: list[Row]
    targets: list[Row]


def in_time_order(rows: list[Row]) -> list[Row]:
    """Oldest first; rows of equal times keep the order of the file."""
    return sorted(rows, key=lambda row: row.time)


def by_user(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of each user, in their order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.user, []).append(row)
    return groups


def leave_one_out(rows: list[Row], mode: str = "valid_and_test") -> Split:
    """The last interaction of each user is for the test, and the one before it for validation.

    With ``valid_only`` or ``test_only`` it is the last one alone. A user's first interaction is always for training,
    and the test comes before validation: three interactions give a test and no validation.
    """
    parts: tuple[list[Row], list[Row], list[Row]] = ([], [], [])
    targets = []
    for history in by_user(in_time_order(rows)).values():
        held_out = {"valid_and_test": [1, 2], "valid_only": [1], "test_only": [2]}[mode]
        rest = history[1:]
        held_out = held_out[max(0, len(held_out) - max(0, len(rest) - 1)) :] if len(rest) > 1 else []
        cut = len(history) - len(held_out)
        parts[0].extend(history[:cut])
        targets.extend(history[1:cut])
        for part, row in zip(held_out, history[cut:]):
            parts[part].append(row)
    return Split(*parts, targets)


def sizes(total: int, ratios: list[float]) -> list[int]:
    """Number of rows of each part.

    Parts after the first are rounded down, and the first has the rest. Then, from the last part to the second, one that
    would get a part of a row but none gets one of the first's, as long as the first has more than one.
    """
    shares = [Fraction(str(ratio)) for ratio in ratios]
    exact = [share / sum(shares) * total for share in shares]
    counts = [int(share) for share in exact]
    counts[0] = total - sum(counts[1:])
    for part in range(len(ratios) - 1, 0, -1):
        if counts[0] <= 1:
            break
        if 0 < exact[part] < 1:
            counts[part] += 1
            counts[0] -= 1
    return counts


def by_ratio(rows: list[Row], ratios: list[float], each_user: bool, sequential: bool) -> Split:
    """The earliest rows are for training, later ones for validation, and the latest for the test.

    They are cut for each user, or all together at one moment. A model of sequences predicts all interactions but the
    first of each user, and these are what is cut. The first ones are for training, if they are
    not later than that moment. For such a model rows of equal times go by user, in the order in which users first
    appear, as in RecBole.
    """
    ordered = in_time_order(rows)
    if sequential and not each_user:
        place = {user: number for number, user in enumerate(by_user(rows))}
        ordered.sort(key=lambda row: (row.time, place[row.user]))
    positions = {user: [at for at, row in enumerate(ordered) if row.user == user] for user in by_user(ordered)}
    first = {places[0] for places in positions.values()}
    groups = list(positions.values()) if each_user else [list(range(len(ordered)))]
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for group in groups:
        places = [at for at in group if not (sequential and at in first)]
        for part, count in zip(parts, sizes(len(places), ratios)):
            part.extend(places[:count])
            del places[:count]
    targets = [at for at in parts[0] if at not in first]
    train = set(parts[0])
    if sequential:
        train |= {at for at in first if each_user or (train and ordered[at].time <= ordered[max(train)].time)}
    return Split(*([ordered[at] for at in sorted(part)] for part in (train, *parts[1:], targets)))
