"""The one rule of seen items: what a user had before the target is not recommended, so it cannot be hit."""

from __future__ import annotations

from typing import NamedTuple

from tests.reference.split import Split, by_user, in_time_order
from tests.reference.tables import Row


class Question(NamedTuple):
    """What a ranked list has to answer: the history of the user, oldest first, and the items that are right."""

    user: str
    history: tuple[str, ...]
    right: frozenset[str]


def of_sequences(rows: list[Row], held_out: list[Row]) -> list[Question]:
    """One question for each held-out row; its history is all that the user did before, held out or not."""
    wanted = {row.line for row in held_out}
    questions = []
    for user, history in by_user(in_time_order(rows)).items():
        for at, row in enumerate(history):
            if row.line in wanted:
                questions.append(Question(user, tuple(old.item for old in history[:at]), frozenset([row.item])))
    return questions


def of_users(split: Split, phase: str) -> list[Question]:
    """One question for each user with held-out rows; the history is training, and validation for the test."""
    before = split.train + (split.valid if phase == "test" else [])
    histories = by_user(in_time_order(before))
    return [
        Question(user, tuple(row.item for row in histories.get(user, [])), frozenset(row.item for row in rows))
        for user, rows in by_user(getattr(split, phase)).items()
    ]


def share_of_repeats(questions: list[Question]) -> float:
    """Share of the right items that the user had before; with seen items removed they cannot be hit."""
    pairs = [item in question.history for question in questions for item in question.right]
    return sum(pairs) / len(pairs)
