"""How the interests share the users."""

from __future__ import annotations

import numpy as np

from recbole_sigma.errors import RequestError
from recbole_sigma.recommend import Recommender
from recbole_sigma.recommend.interests import require_interests
from recbole_sigma.report.figures import bars, layout
from recbole_sigma.report.held_out import HeldOut
from recbole_sigma.report.palette import color
from recbole_sigma.report.section import Plot, Section
from recbole_sigma.report.words import name_of_interest

BINS = 24


def intensities(recommender: Recommender, held_out: HeldOut | None, why_not: str) -> Section:
    name, heading = "intensities", "Interests over users"
    try:
        require_interests(recommender.model)
    except RequestError as error:
        return Section(name, heading, missing=f"{error}.")
    if held_out is None:
        return Section(name, heading, missing=why_not)
    intensity, unit, noun = held_out.intensity, held_out.unit, name_of_interest(recommender.model)
    names = [f"{noun} {number}" for number in range(intensity.shape[1])]
    plots = [
        Plot(
            "intensity",
            f"Intensity of each {noun}",
            f"Box plots of the intensity of each {noun}.",
            _boxes(intensity, names),
        ),
        Plot(
            "strongest",
            "Strongest interest",
            "Bar chart of the share of users by their strongest interest.",
            _strongest(intensity, names, unit),
        ),
        Plot(
            "effective",
            "Effective number of interests",
            "Histogram of the effective number of interests of a user.",
            _effective(intensity, unit),
        ),
    ]
    data = {"num_rows": len(intensity), "unit": unit, "num_interests": len(names)}
    return Section(name, heading, data, plots)


def effective_number(intensity: np.ndarray) -> np.ndarray:
    """Exponential of the entropy of each row: 1 for a single interest, K for K equal ones."""
    log = np.log(np.where(intensity > 0, intensity, 1))
    return np.exp(-(intensity * log).sum(-1))


def _axis(names: list[str]) -> dict:
    return {
        "tickvals": list(range(len(names))),
        "ticktext": names,
        "autorange": "reversed",
        "showgrid": False,
        "zeroline": False,
    }


def _boxes(intensity: np.ndarray, names: list[str]) -> dict:
    """Boxes from percentiles, so that the page does not contain the users; the points at the means have the labels."""
    percentiles = np.percentile(intensity, [5, 25, 50, 75, 95], axis=0).T.round(4).tolist()
    means = intensity.mean(0).round(4).tolist()
    data = [
        {
            "type": "box",
            "orientation": "h",
            "y": [number],
            "q1": [q1],
            "median": [median],
            "q3": [q3],
            "lowerfence": [low],
            "upperfence": [high],
            "line": {"color": color(number), "width": 2},
            "width": 0.5,
            "hoverinfo": "skip",
        }
        for number, (low, q1, median, q3, high) in enumerate(percentiles)
    ]
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": means,
        "y": list(range(len(means))),
        "marker": {"symbol": "diamond", "size": 9, "opacity": 1, "color": [color(n) for n in range(len(means))]},
        "hovertext": [
            f"{name}<br>mean {mean:.1%}, median {median:.1%}<br>middle half: {q1:.1%} to {q3:.1%}<br>"
            f"5th to 95th percentile: {low:.1%} to {high:.1%}"
            for name, mean, (low, q1, median, q3, high) in zip(names, means, percentiles)
        ],
        "hoverinfo": "text",
    }
    axes = {"xaxis": {"range": [0, 1], "tickformat": ".0%"}, "yaxis": _axis(names), "hovermode": "y"}
    return {
        "data": [*data, points],
        "layout": layout("intensity, share of the weights", "", _height(names), **axes),
    }


def _strongest(intensity: np.ndarray, names: list[str], unit: str) -> dict:
    count = np.bincount(intensity.argmax(1), minlength=intensity.shape[1])
    share = count / len(intensity)
    numbers = range(len(count))
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": share.round(4).tolist(),
        "y": list(numbers),
        "width": 0.5,
        "marker": {"color": [color(number) for number in numbers]},
        "text": [f"{part:.0%}" for part in share.tolist()],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertext": [f"{name}: {number:,} {unit}" for name, number in zip(names, count.tolist())],
        "hoverinfo": "text",
    }
    axes = {
        "xaxis": {"range": [0, 1.12 * float(share.max())], "tickformat": ".0%"},
        "yaxis": _axis(names),
        "hovermode": "y",
    }
    return {"data": [trace], "layout": layout(f"share of {unit}", "", _height(names), **axes)}


def _effective(intensity: np.ndarray, unit: str) -> dict:
    most = intensity.shape[1]
    count, edges = np.histogram(effective_number(intensity), BINS, (1, max(most, 1 + 1e-6)))
    share = count / len(intensity)
    hovers = [
        f"{low:.2f} to {high:.2f} interests: {number:,} {unit}"
        for low, high, number in zip(edges[:-1], edges[1:], count.tolist())
    ]
    middle = (edges[:-1] + edges[1:]) / 2
    return bars(
        middle.round(4).tolist(),
        share.round(5).tolist(),
        hovers,
        "effective number of interests",
        f"share of {unit}",
        xaxis={"range": [float(edges[0]), float(edges[-1])]},
        yaxis={"tickformat": ".0%"},
    )


def _height(names: list[str]) -> int:
    return max(320, 90 + 36 * len(names))
