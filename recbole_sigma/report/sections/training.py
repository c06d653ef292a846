"""Losses and validation over the epochs."""

from __future__ import annotations

import math
from pathlib import Path

from recbole_sigma.recommend import Recommender
from recbole_sigma.report.figures import lines
from recbole_sigma.report.palette import COLORS
from recbole_sigma.report.section import Plot, Section
from recbole_sigma.report.sections.results import metric_names

DASHES = ("solid", "dash", "dot", "dashdot")
EPOCH = "epoch, from 0 as in the log"
SUM = "sum over steps"
"""Unit of the losses of RecBole's models, and of checkpoints that name none."""
TERM_HEIGHT = 200


def training(recommender: Recommender) -> Section:
    state = recommender.state
    history = state.get("history") or []
    if "members" in state:
        why = (
            f"An {state['model']} is not trained itself. The report of each member shows its training: "
            f"{', '.join(Path(member.path).name for member in recommender.members)}."
        )
        return Section("training", "Training", missing=why)
    if not history:
        why = (
            "This checkpoint has no record of its training, which a run writes into it at its end: the run was "
            "interrupted, or an older version wrote the file."
        )
        return Section("training", "Training", missing=why)
    best = state["epoch"]
    mark = (best, f"best: {best}")
    validated = [entry for entry in history if entry["valid"]]
    curves = [*_losses(history, mark), *_metrics(validated, metric_names(state["config"]), mark)]
    terms = _terms(history, mark)
    why = f"the best one by {state['config']['valid_metric']} on validation" if validated else "without a validation"
    data = {
        "num_epochs": len(history),
        "seconds": f"{sum(entry['seconds'] for entry in history) / len(history):.1f}",
        "best": best,
        "why": why,
        "unit": _unit(history[-1]),
        "curves": curves,
        "terms": terms,
    }
    return Section("training", "Training", data, [*curves, *terms])


def _losses(history: list[dict], mark: tuple[int, str]) -> list[Plot]:
    """A plot for each unit; there are two after an older version's training was resumed."""
    plots = []
    for unit in dict.fromkeys(map(_unit, history)):
        entries = [entry for entry in history if _unit(entry) == unit]
        epochs = [entry["epoch"] for entry in entries]
        losses = [number(entry["train_loss"]) for entry in entries]
        figure = lines([("loss", epochs, losses, COLORS[0], "solid")], EPOCH, f"loss, {unit}", mark)
        name = f"loss-{len(plots)}" if plots else "loss"
        plots.append(Plot(name, "Training loss", "Line plot of the training loss of each epoch.", figure))
    return plots


def _unit(entry: dict) -> str:
    return entry.get("unit") or SUM


def _terms(history: list[dict], mark: tuple[int, str]) -> list[Plot]:
    """A plot for each term of the loss, since their sizes differ a lot."""
    with_terms = [entry for entry in history if entry.get("terms")]
    epochs = [entry["epoch"] for entry in with_terms]
    plots = []
    for term in dict.fromkeys(name for entry in with_terms for name in entry["terms"]):
        values = [number(entry["terms"].get(term)) for entry in with_terms]
        figure = lines([(term, epochs, values, COLORS[0], "solid")], EPOCH, term, mark, TERM_HEIGHT)
        plots.append(Plot(f"term-{len(plots)}", term, f"Line plot of the term {term} of each epoch.", figure))
    return plots


def _metrics(validated: list[dict], names: dict[str, str], mark: tuple[int, str]) -> list[Plot]:
    """A plot for each metric, with a line for each length of list."""
    epochs = [entry["epoch"] for entry in validated]
    families: dict[str, list[str]] = {}
    for key in validated[0]["valid"] if validated else ():
        families.setdefault(names.get(key, key).partition("@")[0], []).append(key)
    plots = []
    for family, keys in families.items():
        series = [
            (
                names.get(key, key),
                epochs,
                [number(entry["valid"].get(key)) for entry in validated],
                COLORS[(1 + len(plots)) % len(COLORS)],
                DASHES[place % len(DASHES)],
            )
            for place, key in enumerate(keys)
        ]
        figure = lines(series, EPOCH, family, mark)
        name, caption = f"valid-{len(plots)}", f"{family} on validation"
        plots.append(Plot(name, caption, f"Line plot of {family} after each epoch.", figure))
    return plots


def number(value: float | None) -> float | None:
    """The value, or None if it is not finite, which leaves a gap in a line."""
    return value if value is not None and math.isfinite(value) else None
