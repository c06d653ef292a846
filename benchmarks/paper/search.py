"""Trials of a search: the defaults, and random draws from a space of settings."""

from __future__ import annotations

import random
from itertools import product
from typing import NamedTuple

from benchmarks.paper.identity import resolve
from recbole_sigma.errors import ConfigError


class Search(NamedTuple):
    """Attributes:
    trials: of every model, the defaults among them.
    seed: of the draws.
    spaces: ``{model: {key: [values]}}``.
    """

    trials: int
    seed: int
    spaces: dict[str, dict[str, list]]


def draw(search: Search, model: str, dataset: str, fixed: dict) -> list[dict]:
    """The settings of each trial of a model: none first, then others that differ from the defaults and each other.

    The first trials of a longer search are those of a shorter one.

    Raises:
        ConfigError: the space has too few combinations, or a key that the model does not know.
    """
    space = search.spaces[model]
    defaults = resolve(model, dataset, fixed)
    unknown = sorted(space.keys() - defaults.keys())
    if unknown:
        raise ConfigError(f"the space of {model} has {', '.join(unknown)}; expected settings of the model")
    combinations = [dict(zip(space, values)) for values in product(*space.values())]
    random.Random(search.seed).shuffle(combinations)
    others = [drawn for drawn in combinations if any(defaults[key] != value for key, value in drawn.items())]
    if len(others) < search.trials - 1:
        raise ConfigError(
            f"the space of {model} has {len(others)} settings beside the defaults; expected {search.trials - 1} at "
            f"least, for {search.trials} trials"
        )
    return [{}, *others[: search.trials - 1]]
