"""Words of messages."""

from __future__ import annotations


def counted(number: int, name: str) -> str:
    """A number and its noun, whose plural ends in s."""
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"
