"""Colours of categories, which differ for every kind of colour vision and on light and dark backgrounds."""

from __future__ import annotations

COLORS = ("#2A87C8", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8A8D93")
"""Those of Okabe and Ito, with a lighter blue; grey replaces black and yellow, which one of the backgrounds hides."""
SYMBOLS = ("circle", "diamond", "square")
NEUTRAL = "#8A8D93"


def color(category: int) -> str:
    return COLORS[category % len(COLORS)]


def symbol(category: int) -> str:
    """Marker, which differs for categories of the same colour."""
    return SYMBOLS[category // len(COLORS) % len(SYMBOLS)]
