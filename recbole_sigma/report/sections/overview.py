"""The checkpoint in a few numbers."""

from __future__ import annotations

from recbole_sigma.quick_start import num_parameters
from recbole_sigma.recommend import Recommender
from recbole_sigma.report.section import Section
from recbole_sigma.report.sections.results import metric_names
from recbole_sigma.wording import counted


def overview(recommender: Recommender) -> Section:
    state, catalog = recommender.state, recommender.catalog
    names = metric_names(state["config"])
    tested = [(f"{value:.4f}", names.get(key, key), "test") for key, value in (state.get("test_result") or {}).items()]
    history = state.get("history") or []
    seconds = sum(epoch["seconds"] for epoch in history)
    trained = [(duration(seconds), "training", counted(len(history), "epoch"))] if history else []
    tiles = [
        *tested[:4],
        *trained,
        (f"{num_parameters(recommender.model):,}", "parameters", state["model"]),
        (f"{state['metadata']['users']:,}", "users", state["config"]["dataset"]),
        (f"{len(catalog):,}", "items", state["config"]["dataset"]),
        (f"{int(catalog.popularity.sum()):,}", "interactions", "for training"),
    ]
    return Section("overview", "Overview", {"tiles": tiles})


def duration(seconds: float) -> str:
    """Seconds as text with at most two units."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
