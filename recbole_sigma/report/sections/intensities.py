"""How the interests share the users."""

from __future__ import annotations

import numpy as np

from recbole_sigma.errors import RequestError
from recbole_sigma.recommend import Recommender
from recbole_sigma.recommend.interests import require_interests
from recbole_sigma.report.figures import bars, layout
from recbole_sigma.report.held_out import HeldOut
from recbole_sigma.report.html import Section, figure, missing, paragraph
from recbole_sigma.report.palette import color

BINS = 24


def intensities(recommender: Recommender, held_out: HeldOut | None, why_not: str) -> Section:
    name, heading = "intensities", "Interests over users"
    try:
        require_interests(recommender.model)
    except RequestError as error:
        return Section(name, heading, missing(f"{error}."), {})
    if held_out is None:
        return Section(name, heading, missing(why_not), {})
    intensity, unit = held_out.intensity, held_out.unit
    text = (
        "The intensity of an interest is its share in the mixture of a user's interests, after the history that the "
        f"test sees; those of a user sum to 1. Shown over {len(intensity):,} {unit}: boxes hold the middle half of "
        "them, whiskers reach from the 5th to the 95th percentile, and diamonds are means. The effective number of "
        "interests is the exponential of the entropy of the intensities: 1 for a single interest, "
        f"{intensity.shape[1]} for as many equal ones."
    )
    figures = {
        "intensity": _boxes(intensity),
        "strongest": _strongest(intensity, unit),
        "effective": _effective(intensity, unit),
    }
    places = [
        figure(
            "intensity",
            "Intensity of each category",
            "Box plots of the intensities of the categories.",
        ),
        figure("strongest", "Strongest interest", "Bar chart of the share of users by their strongest interest."),
        figure(
            "effective",
            "Effective number of interests",
            "Histogram of the effective number of interests of a user.",
        ),
    ]
    return Section(name, heading, paragraph(text) + f'<div class="grid">{"".join(places)}</div>', figures)


def effective_number(intensity: np.ndarray) -> np.ndarray:
    """Exponential of the entropy of each row: 1 for a single interest, K for K equal ones."""
    log = np.log(np.where(intensity > 0, intensity, 1))
    return np.exp(-(intensity * log).sum(-1))


def _axis(num_categories: int) -> dict:
    names = [f"category {number}" for number in range(num_categories)]
    return {
        "tickvals": list(range(num_categories)),
        "ticktext": names,
        "autorange": "reversed",
        "showgrid": False,
        "zeroline": False,
    }


def _boxes(intensity: np.ndarray) -> dict:
    """Of percentiles, so that the page does not hold the users; the labels are those of the points at the means."""
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
            f"category {number}<br>mean {mean:.1%}, median {median:.1%}<br>middle half: {q1:.1%} to {q3:.1%}<br>"
            f"5th to 95th percentile: {low:.1%} to {high:.1%}"
            for number, (mean, (low, q1, median, q3, high)) in enumerate(zip(means, percentiles))
        ],
        "hoverinfo": "text",
    }
    axes = {"xaxis": {"range": [0, 1], "tickformat": ".0%"}, "yaxis": _axis(intensity.shape[1]), "hovermode": "y"}
    return {
        "data": [*data, points],
        "layout": layout("intensity, share of the mixture", "", _height(intensity), **axes),
    }


def _strongest(intensity: np.ndarray, unit: str) -> dict:
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
        "hovertext": [f"category {number}: {count[number]:,} {unit}" for number in numbers],
        "hoverinfo": "text",
    }
    axes = {
        "xaxis": {"range": [0, 1.12 * float(share.max())], "tickformat": ".0%"},
        "yaxis": _axis(intensity.shape[1]),
        "hovermode": "y",
    }
    return {"data": [trace], "layout": layout(f"share of {unit}", "", _height(intensity), **axes)}


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


def _height(intensity: np.ndarray) -> int:
    return max(320, 90 + 36 * intensity.shape[1])
