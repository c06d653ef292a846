"""Figures of Plotly as plain data; the page adds what depends on its colour scheme."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape

from recbole_sigma.report.palette import NEUTRAL

MARGIN = {"l": 56, "r": 16, "t": 16, "b": 48}
"""Pixels around a plot."""


def layout(x_title: str, y_title: str, height: int = 320, **more) -> dict:
    """Axes with titles; entries of ``xaxis`` and ``yaxis`` are added to them."""
    axes = {
        name: {"title": {"text": title, "standoff": 12}, "automargin": True, **more.pop(name, {})}
        for name, title in (("xaxis", x_title), ("yaxis", y_title))
    }
    return {"height": height, "margin": MARGIN, "showlegend": False, **axes, **more}


def hover_lines(*lines: str) -> str:
    """Text of a hover label, of which Plotly reads ``<br>`` and some other tags."""
    return "<br>".join(escape(part, quote=False) for line in lines for part in textwrap.wrap(line, 60) or [""])


def lines(
    series: Sequence[tuple[str, Sequence[float], Sequence[float | None], str, str]],
    x_title: str,
    y_title: str,
    mark: tuple[float, str] | None = None,
    height: int = 320,
) -> dict:
    """Lines of a name, x, y, colour and dash each, and a vertical line with a text at ``mark``."""
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": list(x),
            "y": list(y),
            "line": {"color": line_color, "width": 2, "dash": dash},
            "marker": {"size": 5, "color": line_color},
            "hovertemplate": f"{name}, {x_title.split(',')[0]} %{{x}}: %{{y:.4g}}<extra></extra>",
        }
        for name, x, y, line_color, dash in series
    ]
    more = {"showlegend": len(series) > 1, "legend": {"orientation": "h", "y": 1.09, "yanchor": "bottom", "x": 0}}
    xs = [x for _, own, *_ in series for x in own]
    more["xaxis"] = {"range": [min(xs) - 0.5, max(xs) + 0.5], "dtick": 1 if max(xs) - min(xs) < 10 else None}
    more["margin"] = {**MARGIN, "t": 28}
    more["hovermode"] = "x"
    if mark is not None:
        more["shapes"] = [
            {
                "type": "line",
                "xref": "x",
                "yref": "paper",
                "x0": mark[0],
                "x1": mark[0],
                "y0": 0,
                "y1": 1,
                "line": {"color": NEUTRAL, "width": 1.5, "dash": "dash"},
            }
        ]
        more["annotations"] = [
            {
                "xref": "x",
                "yref": "paper",
                "x": mark[0],
                "y": 1,
                "yanchor": "bottom",
                "text": mark[1],
                "showarrow": False,
            }
        ]
    return {"data": data, "layout": layout(x_title, y_title, height, **more)}


def points_with_errors(
    ticks: Sequence[str],
    means: Sequence[float],
    errors: Sequence[float | None],
    hovers: Sequence[str],
    overall: float,
    x_title: str,
    y_title: str,
    point_color: str,
) -> dict:
    """A mean with its error bar for each tick, and a dashed line at the mean of all."""
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": list(range(len(ticks))),
            "y": list(means),
            "error_y": {"type": "data", "array": list(errors), "color": point_color, "thickness": 2, "width": 5},
            "marker": {"size": 10, "color": point_color},
            "line": {"color": point_color, "width": 1, "dash": "dot"},
            "hovertext": list(hovers),
            "hoverinfo": "text",
        }
    ]
    overall_line = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": overall,
        "y1": overall,
        "layer": "below",
        "line": {"color": NEUTRAL, "width": 1.5, "dash": "dash"},
    }
    overall_text = {
        "xref": "paper",
        "x": 1.01,
        "xanchor": "left",
        "y": overall,
        "align": "left",
        "text": f"all<br>{overall:.4f}",
        "showarrow": False,
    }
    axes = {
        "xaxis": {
            "tickvals": list(range(len(ticks))),
            "ticktext": list(ticks),
            "range": [-0.5, len(ticks) - 0.4],
            "showgrid": False,
            "zeroline": False,
            "tickfont": {"size": 11},
        },
        "yaxis": {"rangemode": "tozero"},
    }
    margin = {**MARGIN, "r": 60}
    return {
        "data": data,
        "layout": layout(
            x_title,
            y_title,
            **axes,
            shapes=[overall_line],
            annotations=[overall_text],
            margin=margin,
            hovermode="x",
            hoverdistance=-1,
        ),
    }


def bars(x: Sequence[float], y: Sequence[float], hovers: Sequence[str], x_title: str, y_title: str, **more) -> dict:
    """Bars that touch each other, in a neutral colour."""
    trace = {
        "type": "bar",
        "x": list(x),
        "y": list(y),
        "marker": {"color": NEUTRAL},
        "hovertext": list(hovers),
        "hoverinfo": "text",
    }
    return {"data": [trace], "layout": layout(x_title, y_title, bargap=0.04, hovermode="x", **more)}
