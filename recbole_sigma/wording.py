"""Words of messages."""

from __future__ import annotations

from collections.abc import Iterable


def counted(number: int, name: str) -> str:
    """A number and its noun, whose plural ends in s."""
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"


def listed(words: Iterable[str]) -> str:
    """Words with commas and "and" between."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
