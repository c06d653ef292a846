"""Trials of a search: the defaults, and random draws from a space of settings."""

from __future__ import annotations

import random
from itertools import product
from typing import NamedTuple

from benchmarks.paper.identity import resolve
from recbole_sigma.errors import ConfigError


class Search(NamedTuple):
    """Attributes:
    trials: number of trials of every model, including the defaults.
    seed: seed of the draws.
    spaces: ``{model: {key: [values]}}``.
    """

    trials: int
    seed: int
    spaces: dict[str, dict[str, list]]


def draw(search: Search, model: str, dataset: str, fixed: dict) -> list[dict]:
    """The settings of each trial of a model: first none (the defaults), then different draws other than the defaults.

    A longer search begins with the trials of a shorter one.

    Args:
        fixed: settings of every run of the model.

    Raises:
        ConfigError: the space has too few combinations, or a setting that the model does not have.
    """
    space = search.spaces[model]
    defaults = resolve(model, dataset, fixed)
    unknown = sorted(space.keys() - defaults.keys())
    if unknown:
        raise ConfigError(f"the space of {model} has unknown keys: {', '.join(unknown)}; expected its settings")
    combinations = [dict(zip(space, values)) for values in product(*space.values())]
    random.Random(search.seed).shuffle(combinations)
    others = [drawn for drawn in combinations if any(defaults[key] != value for key, value in drawn.items())]
    if len(others) < search.trials - 1:
        raise ConfigError(
            f"the space of {model} has {len(others)} combinations besides the defaults; expected at least "
            f"{search.trials - 1}, for {search.trials} trials"
        )
    return [{}, *others[: search.trials - 1]]
