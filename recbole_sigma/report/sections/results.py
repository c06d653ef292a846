"""The results of validation and test."""

from __future__ import annotations

from recbole_sigma.comparison import evaluation_rule
from recbole_sigma.recommend import Recommender
from recbole_sigma.report.quantiles import mean_and_error
from recbole_sigma.report.held_out import HeldOut
from recbole_sigma.report.html import Section, missing, paragraph, table


def metric_names(config: dict) -> dict[str, str]:
    """Names as in the settings, such as Recall@20, by the keys of results."""
    names = [*config["metrics"], *(f"{metric}@{k}" for metric in config["metrics"] for k in config["topk"])]
    return {name.lower(): name for name in names}


def results(recommender: Recommender, held_out: HeldOut | None) -> Section:
    """With the standard error over the test rows, where there are any, and a check that they give the same result."""
    state = recommender.state
    valid, test = state.get("valid_result") or {}, state.get("test_result") or {}
    names = metric_names(state["config"])
    body = paragraph(evaluation_rule(recommender.settings))
    again = {}
    if held_out is not None:
        again = {key: held_out.metric(key) for key in names if "@" in key}
        again = {key: mean_and_error(values) for key, values in again.items() if values is not None}
    if not test:
        body += missing(
            "This checkpoint has no test result, which a run writes into it at its end: the run was interrupted, or an "
            "older version wrote the file." + (" The numbers below were computed for this report." if again else "")
        )
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
    if rows:
        body += table(header, rows)
    compared = test.keys() & again.keys()
    if compared:
        half_digit = 0.5 * 10.0 ** -state["config"]["metric_decimal_place"] + 1e-9
        differing = [names[key] for key in sorted(compared) if abs(test[key] - again[key][0]) > half_digit]
        if differing:
            body += missing(
                f"Ranking the test rows again for this report gave other values of {', '.join(differing)}: "
                + ", ".join(f"{again[key][0]:.4f} for {test[key]:.4f}" for key in sorted(compared))
                + ". The data have changed since the training, or another device rounds otherwise."
            )
        else:
            body += paragraph("Ranking the test rows again for this report gave the same values.")
    return Section("test", "Test result", body, {})


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
