"""Colours of categories, told apart with every kind of colour vision and on light and dark ground alike."""

from __future__ import annotations

COLORS = ("#2A87C8", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8A8D93")
"""Of Okabe and Ito, with a lighter blue, and grey for black and yellow, which one of the two grounds swallows."""
SYMBOLS = ("circle", "diamond", "square")
NEUTRAL = "#8A8D93"


def color(category: int) -> str:
    return COLORS[category % len(COLORS)]


def symbol(category: int) -> str:
    """Marker that tells apart the categories that share a colour."""
    return SYMBOLS[category // len(COLORS) % len(SYMBOLS)]
