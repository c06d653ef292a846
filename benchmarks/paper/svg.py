"""Small plots as SVG: points with error bars, joined by lines or labelled, in panels side by side."""

from __future__ import annotations

import math
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 300, 240
LEFT, RIGHT, TOP, BOTTOM = 62, 20, 30, 46
BLACK, GREY, BLUE = "#111", "#ddd", "#1f5fa8"


class Point(NamedTuple):
    """Attributes:
    error: half the length of the error bar, or None for none.
    label: written beside the point.
    """

    x: float
    y: float
    error: float | None = None
    label: str = ""


class Panel(NamedTuple):
    """A pair of axes.

    Attributes:
        ticks: names of the places 0, 1, ... of the horizontal axis, whose points are joined; none for an axis of
            numbers.
    """

    x_label: str
    y_label: str
    points: list[Point]
    ticks: list[str]


class Axis(NamedTuple):
    """A range of values drawn between two places of the picture."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def draw(title: str, panels: list[Panel]) -> str:
    """The text of an SVG file."""
    width = WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11" fill="{BLACK}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{HEIGHT}" fill="#fff"/>',
        _text(width / 2, 16, title, "middle", "font-weight='bold'"),
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate({WIDTH * number} 0)">', *_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel) -> list[str]:
    heights = [point.y + sign * (point.error or 0) for point in panel.points for sign in (-1, 1)]
    y = _axis(heights, HEIGHT - BOTTOM, TOP)
    if panel.ticks:
        x = Axis(-0.5, len(panel.ticks) - 0.5, LEFT, WIDTH - RIGHT)
        x_ticks = dict(enumerate(panel.ticks))
    else:
        x = _axis([point.x for point in panel.points], LEFT, WIDTH - RIGHT)
        x_ticks = _ticks(x)
    return [*_axes(panel, x, y, x_ticks, _ticks(y)), *_drawn(panel.points, x, y, joined=bool(panel.ticks))]


def _axes(panel: Panel, x: Axis, y: Axis, x_ticks: dict[float, str], y_ticks: dict[float, str]) -> list[str]:
    parts = [_line(x.start, y.start, x.end, y.start, BLACK), _line(x.start, y.start, x.start, y.end, BLACK)]
    for value, name in x_ticks.items():
        parts.append(_line(x.place(value), y.start, x.place(value), y.start + 4, BLACK))
        parts.append(_text(x.place(value), y.start + 16, name, "middle"))
    for value, name in y_ticks.items():
        parts.append(_line(x.start, y.place(value), x.end, y.place(value), GREY))
        parts.append(_text(x.start - 6, y.place(value) + 4, name, "end"))
    middle = (y.start + y.end) / 2
    return [
        *parts,
        _text((x.start + x.end) / 2, HEIGHT - 12, panel.x_label, "middle"),
        _text(14, middle, panel.y_label, "middle", f"transform='rotate(-90 14 {middle:.1f})'"),
    ]


def _drawn(points: list[Point], x: Axis, y: Axis, joined: bool) -> list[str]:
    parts = []
    if joined:
        corners = " ".join(f"{x.place(point.x):.1f},{y.place(point.y):.1f}" for point in points)
        parts.append(f'<polyline points="{corners}" fill="none" stroke="{BLUE}" stroke-width="1.5"/>')
    for point in points:
        across, up = x.place(point.x), y.place(point.y)
        if point.error is not None:
            top, bottom = y.place(point.y + point.error), y.place(point.y - point.error)
            parts.append(_line(across, top, across, bottom, BLUE))
            parts += [_line(across - 3, end, across + 3, end, BLUE) for end in (top, bottom)]
        parts.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="{BLUE}"/>')
        if point.label:
            right = across > (x.start + x.end) / 2  # of the middle, where there is no room beside it
            parts.append(_text(across + (-6 if right else 6), up - 5, point.label, "end" if right else "start"))
    return parts


def _axis(values: list[float], start: float, end: float) -> Axis:
    """A range a little wider than the values."""
    margin = 0.08 * (max(values) - min(values)) or 0.05 * abs(max(values)) or 1.0
    return Axis(min(values) - margin, max(values) + margin, start, end)


def _ticks(axis: Axis) -> dict[float, str]:
    """A few round values within an axis, with their names."""
    span = axis.high - axis.low
    unit = 10.0 ** math.floor(math.log10(span))
    step = next(unit * factor for factor in (0.2, 0.5, 1.0, 2.0) if span / (unit * factor) <= 6)
    digits = max(0, math.ceil(-math.log10(step) - 1e-9))
    first, last = math.ceil(axis.low / step), math.floor(axis.high / step)
    return {number * step: f"{number * step:.{digits}f}" for number in range(first, last + 1)}


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'
