"""Pieces of HTML; text that comes from files goes through ``escape``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from recbole_sigma.report.palette import color, symbol

__all__ = ["Section", "counted", "escape", "figure", "hover_lines", "missing", "paragraph", "swatch", "table", "tiles"]


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        id: its anchor.
        title: plain text.
        body: HTML.
        figures: of Plotly, ``data`` and ``layout``, by the name of their place in the body.
    """

    id: str
    title: str
    body: str
    figures: dict[str, dict]


def figure(name: str, caption: str, described: str, size: str = "") -> str:
    """Place of a figure; ``described`` is for readers who do not see it, ``size`` a class of the style sheet."""
    return (
        f'<figure class="{size}"><figcaption>{escape(caption)}</figcaption>'
        f'<div class="plot" id="{name}" role="img" aria-label="{escape(described)}"></div></figure>'
    )


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def missing(text: str) -> str:
    """What stands in the place of something that cannot be shown."""
    return f'<p class="missing">{escape(text)}</p>'


def counted(number: int, name: str) -> str:
    """A number of things whose plural ends in s."""
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"


def swatch(category: int) -> str:
    """A mark in the colour and the shape of a category."""
    name = f"category {category}"
    return (
        f'<span class="swatch {symbol(category)}" style="background:{color(category)}" role="img" title="{name}" '
        f'aria-label="{name}"></span>'
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of plain texts, the first column to the left and numbers to the right."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def tiles(entries: Iterable[tuple[str, str, str]]) -> str:
    """Value, what it is, and a remark."""
    return (
        '<dl class="tiles">'
        + "".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd>{escape(remark)}</dd></div>"
            for value, name, remark in entries
        )
        + "</dl>"
    )


def hover_lines(*lines: str) -> str:
    """Text of a hover label: Plotly reads some tags in it."""
    return "<br>".join(escape(part, quote=False) for line in lines for part in textwrap.wrap(line, 60) or [""])
