"""Accuracy by the length of the history and by the popularity of the next item."""

from __future__ import annotations

import math

import numpy as np

from recbole_sigma.recommend import Recommender
from recbole_sigma.report.figures import points_with_errors
from recbole_sigma.report.held_out import HeldOut
from recbole_sigma.report.palette import COLORS
from recbole_sigma.report.quantiles import mean_and_error, quantile_groups
from recbole_sigma.report.section import Plot, Section

GROUPS = 5


def accuracy(recommender: Recommender, held_out: HeldOut | None, why_not: str) -> Section:
    name, heading = "accuracy", "Accuracy by history and popularity"
    if held_out is None:
        return Section(name, heading, missing=why_not)
    settings = recommender.settings
    k, unit = shortest_list(settings), held_out.unit
    popularity = recommender.catalog.popularity[held_out.target]
    plots = []
    for metric, values, point_color in (
        (f"Recall@{k}", held_out.recall(k), COLORS[0]),
        (f"NDCG@{k}", held_out.ndcg(k), COLORS[2]),
    ):
        for by, of, x_title in (
            ("length", held_out.length, "items in the history"),
            ("popularity", popularity, "training interactions of the next item"),
        ):
            place = f"{metric.partition('@')[0].lower()}-by-{by}"
            caption = f"{metric} by {'history length' if by == 'length' else 'popularity of the next item'}"
            figure = _by_group(metric, values, of, x_title, unit, point_color)
            plots.append(Plot(place, caption, f"Plot of {caption}, with error bars.", figure))
    return Section(name, heading, {"unit": unit, "max_length": settings["MAX_ITEM_LIST_LENGTH"]}, plots)


def shortest_list(settings: dict) -> int:
    """The K for which accuracy is shown."""
    return min(settings["topk"])


def _by_group(metric: str, values: np.ndarray, of: np.ndarray, x_title: str, unit: str, point_color: str) -> dict:
    ticks, means, errors, hovers = [], [], [], []
    for group in quantile_groups(of, GROUPS):
        mean, error = mean_and_error(values[group.rows])
        shown_error = f" ± {error:.4f}" if math.isfinite(error) else ""
        ticks.append(f"{group.label}<br>n = {len(group.rows):,}")
        means.append(round(mean, 6))
        errors.append(round(error, 6) if math.isfinite(error) else None)
        hovers.append(f"{group.label} {x_title}<br>{metric} {mean:.4f}{shown_error}<br>{len(group.rows):,} {unit}")
    return points_with_errors(ticks, means, errors, hovers, float(values.mean()), x_title, metric, point_color)
