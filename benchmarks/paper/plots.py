"""The plots of the report: how a setting changes accuracy and diversity."""

from __future__ import annotations

from contextlib import AbstractContextManager
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.paper.names import short
from benchmarks.paper.results import Result
from recbole_sigma.extras import require
from recbole_sigma.report.palette import color

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL_SIZE = (3.6, 3.2)
"""Width and height of a panel in inches."""
MARKERS = "oDs^v"
"""Five markers and seven colours: 35 rows differ in one or both."""
CAPTION = "Test set; R: Recall, N: NDCG, D: Diversity, from 0 to 1; mean ± standard deviation over n seeds"
STYLE = {
    "svg.fonttype": "none",  # text can be searched and read aloud
    "svg.hashsalt": "recbole-sigma",  # ids of elements are the same each time
    "font.sans-serif": ["DejaVu Sans"],
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.1,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.formatter.useoffset": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "errorbar.capsize": 4,
    "legend.frameon": False,
}


def sweep(title: str, key: str, metrics: list[str], results: list[Result]) -> Figure:
    """Draw a panel for each metric, against the values of a setting.

    Args:
        key: the setting; its values are in ascending order and equally far apart.
        results: at least one of them has records.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    done = sorted((result for result in results if result.records), key=lambda result: result.row.settings[key])
    places = range(len(done))
    ticks = [f"{result.row.settings[key]}\nn = {len(result.records)}" for result in done]
    with _style():
        figure = _figure(title, len(metrics))
        for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics):
            values = [result.test(metric) for result in done]
            deviations = [nan if value.sd is None else value.sd for value in values]
            axes.errorbar(places, [value.mean for value in values], deviations, marker="o", color=color(0))
            axes.set(xlabel=key, ylabel=short(metric), xlim=(-0.5, len(done) - 0.5))
            axes.set_xticks(places, ticks)
    return figure


def trade_off(title: str, x: str, y: str, results: list[Result]) -> Figure:
    """Draw one metric against another, with a point for each row.

    Args:
        results: at least one of them has records.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with _style():
        figure = _figure(title, 2)
        axes = figure.subplots()
        axes.set(xlabel=short(x), ylabel=short(y))
        for number, result in enumerate(result for result in results if result.records):
            across, up = result.test(x), result.test(y)
            marker = MARKERS[number % len(MARKERS)]
            drawn = axes.errorbar(across.mean, up.mean, up.sd, across.sd, marker, color=color(number))
            drawn.lines[0].set_label(f"{result.row.label}\nn = {len(result.records)}")  # the marker without its bars
        axes.locator_params(axis="x", nbins=6)  # more would touch each other
        figure.legend(loc="outside right center")
    return figure


def write(figure: Figure, path: Path) -> None:
    """Write a figure as SVG. The same figure gives the same bytes."""
    with _style():
        metadata = {"Title": figure.get_suptitle(), "Creator": None, "Date": None}
        figure.savefig(path, format="svg", metadata=metadata)


def _style() -> AbstractContextManager:
    """Set the style, whatever the user's ``matplotlibrc`` says, and restore the user's at the end."""
    return require("matplotlib.style", "benchmarks").context(["default", STYLE])


def _figure(title: str, width: int) -> Figure:
    """Make an empty figure without pyplot, which would need a display and keep the figure.

    Args:
        width: in panels.
    """
    figure = require("matplotlib.figure", "benchmarks").Figure((width * PANEL_SIZE[0], PANEL_SIZE[1]))
    figure.suptitle(title, weight="bold")
    figure.supxlabel(CAPTION, size="small", color="#555555")
    return figure
