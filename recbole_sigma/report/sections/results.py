"""The results of validation and test."""

from __future__ import annotations

from recbole_sigma.recommend import Recommender
from recbole_sigma.report.held_out import HeldOut
from recbole_sigma.report.quantiles import mean_and_error
from recbole_sigma.report.section import Section
from recbole_sigma.result_table import evaluation_rule


def metric_names(config: dict) -> dict[str, str]:
    """Names as in the settings, such as Recall@20, by the keys of results."""
    names = [*config["metrics"], *(f"{metric}@{k}" for metric in config["metrics"] for k in config["topk"])]
    return {name.lower(): name for name in names}


def results(recommender: Recommender, held_out: HeldOut | None) -> Section:
    """The metrics; with test rows, their standard errors and whether ranking the rows again gives the same result."""
    state = recommender.state
    valid, test = state.get("valid_result") or {}, state.get("test_result") or {}
    names = metric_names(state["config"])
    again = {}
    if held_out is not None:
        again = {key: held_out.metric(key) for key in names if "@" in key}
        again = {key: mean_and_error(values) for key, values in again.items() if values is not None}
    error = "" if held_out is None else f"standard error over {len(held_out.rank):,} {held_out.unit}"
    header = ["metric", *(["validation"] if valid else []), "test", *([error] if error else [])]
    rows = [
        [
            names.get(key, key),
            *([_four(valid.get(key))] if valid else []),
            _four(test.get(key, again.get(key, (None,))[0])),
            *([f"± {again[key][1]:.4f}" if key in again else ""] if error else []),
        ]
        for key in test or again
    ]
    compared = sorted(test.keys() & again.keys())
    half_digit = 0.5 * 10.0 ** -state["config"]["metric_decimal_place"] + 1e-9
    data = {
        "rule": evaluation_rule(recommender.settings),
        "has_test_result": bool(test),
        "computed": bool(again),
        "header": header,
        "rows": rows,
        "compared": [f"{again[key][0]:.4f} for {test[key]:.4f}" for key in compared],
        "differing": [names[key] for key in compared if abs(test[key] - again[key][0]) > half_digit],
    }
    return Section("test", "Test result", data)


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
