"""The parts of the page as plain data, without HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple


class Plot(NamedTuple):
    """A figure and the text that belongs to it.

    Attributes:
        name: id of its place in the page; no two plots have the same.
        caption: its heading.
        description: for readers who cannot see it.
        figure: ``data`` and ``layout`` of Plotly.
    """

    name: str
    caption: str
    description: str
    figure: dict


class Section(NamedTuple):
    """A part of the page, which the template ``templates/<id>.html`` shows.

    Attributes:
        id: its anchor.
        title: its heading.
        data: values that the template reads.
        plots: all figures that the template places.
        missing: why the section cannot be shown; the page says so instead.
    """

    id: str
    title: str
    data: Mapping[str, Any] = MappingProxyType({})
    plots: Sequence[Plot] = ()
    missing: str | None = None
