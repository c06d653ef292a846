"""What a ranked list must be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def problem_of_list(
    items: Sequence[str], scores: Mapping[str, float], removed: Collection[str], k: int, tolerance: float
) -> str | None:
    """Why a list is not the ``k`` best items of the catalog without the removed ones, or None if it is.

    It is shorter if fewer are left. Equal scores, and those closer than ``tolerance`` (a share of the largest score),
    come in any order.
    """
    eligible = {item: score for item, score in scores.items() if item not in set(removed)}
    margin = tolerance * max([1e-30, *map(abs, scores.values())])
    for item in items:
        if item not in scores:
            return f"{item!r} is not in the catalog"
        if item not in eligible:
            return f"{item!r} is in the list, and the user had it before"
    if len(set(items)) < len(items):
        return f"an item comes twice: {items}"
    if len(items) != min(k, len(eligible)):
        return f"{len(items)} items; expected {min(k, len(eligible))}: {len(eligible)} can be recommended"
    best = sorted(eligible.values(), reverse=True)
    for place, item in enumerate(items):
        if eligible[item] < best[place] - margin:
            return f"place {place + 1} has {item!r} with {eligible[item]}; the best left has {best[place]}"
    return None
