"""Losses and validation over the epochs."""

from __future__ import annotations

import math

from recbole_sigma.recommend import Recommender
from recbole_sigma.report.figures import lines
from recbole_sigma.report.html import Section, counted, figure, missing, paragraph
from recbole_sigma.report.palette import COLORS
from recbole_sigma.report.sections.results import metric_names

DASHES = ("solid", "dash", "dot", "dashdot")
EPOCH = "epoch, from 0 as in the log"


def training(recommender: Recommender) -> Section:
    state = recommender.state
    history = state.get("history") or []
    if not history:
        text = (
            "This checkpoint has no record of its training, which a run writes into it at its end: the run was "
            "interrupted, or an older version wrote the file."
        )
        return Section("training", "Training", missing(text), {})
    best, valid_metric = state["epoch"], state["config"]["valid_metric"]
    mark = (best, f"best: {best}")
    epochs = [entry["epoch"] for entry in history]
    losses = [number(entry["train_loss"]) for entry in history]
    figures = {"loss": lines([("loss", epochs, losses, COLORS[0], "solid")], EPOCH, "loss, sum over steps", mark)}
    places = [figure("loss", "Training loss", "Line plot of the training loss of each epoch.")]

    validated = [entry for entry in history if entry["valid"]]
    if validated:
        names = metric_names(state["config"])
        at = [entry["epoch"] for entry in validated]
        families = {}
        for key in validated[0]["valid"]:
            families.setdefault(names.get(key, key).partition("@")[0], []).append(key)
        for number_of_family, (family, keys) in enumerate(families.items()):
            series = [
                (
                    names.get(key, key),
                    at,
                    [number(entry["valid"].get(key)) for entry in validated],
                    COLORS[(1 + number_of_family) % len(COLORS)],
                    DASHES[place % len(DASHES)],
                )
                for place, key in enumerate(keys)
            ]
            place = f"valid-{number_of_family}"
            figures[place] = lines(series, EPOCH, family, mark)
            places.append(figure(place, f"{family} on validation", f"Line plot of {family} after each epoch."))
    seconds = sum(entry["seconds"] for entry in history) / len(history)
    why = f"the best one by {valid_metric} on validation" if validated else "without a validation"
    text = (
        f"{counted(len(history), 'epoch')}, {seconds:.1f} s of training each on average. The parameters are those of "
        f"epoch {best}, {why}."
    )
    return Section("training", "Training", paragraph(text) + f'<div class="grid">{"".join(places)}</div>', figures)


def number(value: float | None) -> float | None:
    """None for what is no finite number, which leaves a gap in a line."""
    return value if value is not None and math.isfinite(value) else None
