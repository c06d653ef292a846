"""Which rows are left of a file, in this order: duplicates, values, counts."""

from __future__ import annotations

from collections import Counter

from tests.reference.tables import Row


def without_duplicates(rows: list[Row], keep: str) -> list[Row]:
    """``rm_dup_inter``: one row for each pair of a user and an item, the ``first`` or the ``last`` one in time.

    Rows of equal times are in the order of the file.
    """
    in_order = sorted(range(len(rows)), key=lambda number: rows[number].time)
    if keep == "last":
        in_order.reverse()
    kept: dict[tuple[str, str], int] = {}
    for number in in_order:
        kept.setdefault((rows[number].user, rows[number].item), number)
    return [rows[number] for number in sorted(kept.values())]


def without_copies(rows: list[Row]) -> list[Row]:
    """Rows that equal no earlier row in user, item, time and rating."""
    kept: dict[tuple, Row] = {}
    for row in rows:
        kept.setdefault(row[1:], row)
    return list(kept.values())


def is_within(value: float, intervals: str) -> bool:
    """Whether a number is in one of the intervals, such as ``[2,5);[9,inf)``: square brackets include the end."""
    for interval in intervals.split(";"):
        low, high = map(float, interval.strip()[1:-1].split(","))
        above = value >= low if interval.strip()[0] == "[" else value > low
        below = value <= high if interval.strip()[-1] == "]" else value < high
        if above and below:
            return True
    return False


def within_counts(rows: list[Row], users: str | None, items: str | None) -> list[Row]:
    """``user_inter_num_interval`` and ``item_inter_num_interval``: drop rows until all users and items fit.

    In each round the counts are taken first; then the rows of all users and items outside the intervals go.
    """
    while True:
        of_user, of_item = Counter(row.user for row in rows), Counter(row.item for row in rows)
        left = [
            row
            for row in rows
            if (users is None or is_within(of_user[row.user], users))
            and (items is None or is_within(of_item[row.item], items))
        ]
        if len(left) == len(rows):
            return rows
        rows = left


def filtered(
    rows: list[Row],
    keep: str | None = None,
    ratings: str | None = None,
    users: str | None = None,
    items: str | None = None,
) -> list[Row]:
    """The rows left by ``rm_dup_inter``, ``val_interval`` of the rating, and the intervals of counts."""
    if keep is not None:
        rows = without_duplicates(rows, keep)
    if ratings is not None:
        rows = [row for row in rows if is_within(row.rating, ratings)]
    return within_counts(rows, users, items)
