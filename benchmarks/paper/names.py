"""Names and numbers as the report writes them."""

from __future__ import annotations

from math import isnan

from benchmarks.paper.results import Measured

INITIALS = {"recall": "R", "ndcg": "N", "diversity": "D"}


def short(metric: str) -> str:
    """``R@20`` for ``recall@20``; metrics that the paper does not have keep their names."""
    name, k = metric.split("@")
    return f"{INITIALS.get(name, name)}@{k}"


def cell(value: Measured | None, planned: int, bold: bool = False) -> str:
    """Mean and standard deviation, and the number of seeds if some are missing."""
    if value is None:
        return "not run"
    number = f"**{value.mean:.4f}**" if bold else f"{value.mean:.4f}"
    spread = "" if value.sd is None else f" ± {value.sd:.4f}"
    return number + spread + (f" (n = {value.seeds})" if value.seeds < planned else "")


def probability(p: float) -> str:
    """The text after the letter p. It is a dash for NaN, the p of two models that are equal for every user."""
    return "–" if isnan(p) else "< 0.0001" if p < 0.0001 else f"= {p:.4f}"


def settings_text(settings: dict) -> str:
    """Settings in one line."""
    return ", ".join(f"{key} {value}" for key, value in settings.items()) or "the defaults"
