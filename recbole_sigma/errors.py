"""Errors that the user can fix, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class RecBoleSigmaError(ValueError):
    """Invalid input. The message says what was expected and what to do; the command line prints it and exits with 2."""


class ConfigError(RecBoleSigmaError):
    """An unknown model, data set or key, or a value of the wrong type or range."""


class DataError(RecBoleSigmaError):
    """Files that are missing, unreadable, lack a column, or leave nothing after filtering."""


class CheckpointError(RecBoleSigmaError):
    """A checkpoint that is missing, damaged, or of another model or catalog."""


class TrainingError(RecBoleSigmaError):
    """Training that cannot continue, for example because the loss is NaN."""


class RequestError(RecBoleSigmaError):
    """A request that a trained model cannot answer, such as more recommendations than there are items."""


class MissingExtraError(RecBoleSigmaError, ImportError):
    """An optional package that is not installed."""


def close_matches(word: Any, known: Iterable[str], count: int = 1) -> list[str]:
    """The names most similar to ``word``, ignoring case; an empty list if no name is similar."""
    by_lower = {name.lower(): name for name in sorted(known)}
    return [by_lower[name] for name in difflib.get_close_matches(str(word).lower(), by_lower, count)]


def did_you_mean(names: Sequence[str]) -> str:
    """The end of an error message that suggests these names; empty for no names."""
    return f"; did you mean {' or '.join(names)}?" if names else ""
