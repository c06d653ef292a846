"""Words that several sections use."""

from __future__ import annotations

from recbole_sigma.recommend.interests import learns_categories


def name_of_interest(model) -> str:
    """What the report calls interest k of a model: a category if the model learns categories of items."""
    return "category" if learns_categories(model) else "interest"
