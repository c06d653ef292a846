"""Whether the items that recommendations are said to be due to are those that they are due to."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from recbole_sigma.recommend import Recommender
from recbole_sigma.recommend.faithfulness import (
    DRAWS,
    SHORTEST,
    TOP,
    Comparison,
    Deletion,
    Share,
    agreement,
    deletion,
    long_enough,
)
from recbole_sigma.recommend.interests import role_of_interests
from recbole_sigma.recommend.reasons import MOST
from recbole_sigma.report.held_out import HeldOut, histories
from recbole_sigma.report.section import Section

USERS = 200
"""Most users that are looked at: their histories are scored again without each item, which takes about a minute."""
SEED = 0
TOO_SHORT = f"No history of the test has {SHORTEST} different items and leaves others to recommend."


class Measured(NamedTuple):
    """What was found of the explanations of some users.

    Attributes:
        num_users: one history each.
        deletion: of their recommendations.
        agreement: with the interests, or None for models without any.
    """

    num_users: int
    deletion: Deletion
    agreement: Share | None


def measure(recommender: Recommender, held_out: HeldOut, users: int = USERS, seed: int = SEED) -> Measured | None:
    """Deletion and agreement of at most ``users`` users of the test.

    Args:
        users: drawn from those with at least ``SHORTEST`` different items among those that the model reads.
        seed: of the draw of users, and of the items that are taken out at random.

    Returns:
        What was found; None if all histories are too short, or leave nothing to recommend.
    """
    drawn = np.random.default_rng(seed).permutation(len(held_out.user))
    _, first = np.unique(held_out.user[drawn], return_index=True)
    rows = drawn[np.sort(first)]
    everyone = histories(recommender, held_out, rows)
    rows = np.sort(rows[long_enough(everyone, recommender.leave_out.width)][:users])
    if not len(rows):
        return None
    chosen = histories(recommender, held_out, rows)
    found = deletion(recommender.leave_out, chosen, seed)
    if not len(found.history):
        return None
    with_interests = role_of_interests(recommender.model) is not None
    agreed = agreement(recommender.model, recommender.leave_out, chosen) if with_interests else None
    return Measured(len(rows), found, agreed)


def explanations(recommender: Recommender, held_out: HeldOut | None, why_not: str) -> Section:
    name, heading = "explanations", "Do the explanations hold?"
    if held_out is None:
        return Section(name, heading, missing=why_not)
    measured = measure(recommender, held_out)
    if measured is None:
        return Section(name, heading, missing=TOO_SHORT)
    deletion = measured.deletion
    rows = [
        [label, _percent(share), *_compared(deletion.compare(number) if number else None)]
        for number, (label, share) in enumerate(zip(("none", "one", "two or more"), deletion.shares()))
    ]
    data = {
        "num_users": measured.num_users,
        "num_items": len(deletion.history),
        "shortest": SHORTEST,
        "top": TOP,
        "draws": DRAWS,
        "most": MOST,
        "rows": rows,
        "agreement": None if measured.agreement is None else _percent(measured.agreement),
        "role": role_of_interests(recommender.model),
    }
    return Section(name, heading, data)


def _compared(found: Comparison | None) -> list[str]:
    if found is None:
        return ["", "", "", ""]
    ratio = _with_error(found.ratio, ".1f") if math.isfinite(found.ratio.mean) else ""
    others = "" if found.others is None else _percent(found.others)
    return [_percent(found.named), _percent(found.random), ratio, others]


def _percent(share: Share) -> str:
    return _with_error(share, ".1%")


def _with_error(share: Share, form: str) -> str:
    return f"{share.mean:{form}}" + ("" if share.error is None else f" ± {share.error:{form}}")
