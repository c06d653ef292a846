"""The plots of the report: what a setting does to accuracy and diversity."""

from __future__ import annotations

from benchmarks.paper.names import short
from benchmarks.paper.results import Result
from benchmarks.paper.svg import Panel, Point, draw


def sweep(title: str, key: str, metrics: list[str], results: list[Result]) -> str:
    """An SVG with a panel for each metric, against the values that the rows give a setting.

    Args:
        key: the setting; values are drawn in ascending order and equally far apart.
        results: of which at least one has records.
    """
    done = sorted((result for result in results if result.records), key=lambda result: result.row.settings[key])
    ticks = [str(result.row.settings[key]) for result in done]
    panels = []
    for metric in metrics:
        found = [result.test(metric) for result in done]
        points = [Point(place, value.mean, value.sd) for place, value in enumerate(found)]
        panels.append(Panel(key, short(metric), points, ticks))
    return draw(title, panels)


def trade_off(title: str, x: str, y: str, results: list[Result]) -> str:
    """An SVG with a labelled point for each row, one metric against another."""
    done = [result for result in results if result.records]
    points = [Point(result.test(x).mean, result.test(y).mean, result.test(y).sd, result.row.label) for result in done]
    return draw(title, [Panel(short(x), short(y), points, [])])
