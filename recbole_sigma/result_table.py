"""The table of results, and below it how they were measured, on whom, and where rows differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from recbole.evaluator.register import metric_information
from recbole.utils import EvaluatorType

from recbole_sigma.data.held_out import HeldOut, evaluated_users
from recbole_sigma.data.removed import removed_words
from recbole_sigma.wording import counted

NO_VALUE = "-"


def table(rows: list[dict], config, summary: Sequence[dict] = (), notes: Sequence[str] = ()) -> str:
    """Markdown table of results of ``run_recbole_sigma``, and below it how they were measured.

    A value has its standard error over users beside it, if the metric is a mean over users.

    Args:
        rows: results, or ``model`` and ``error`` of a model that failed; with ``other_rows`` as in a comparison.
        config: the settings of the first model.
        summary: more rows below these; values that they lack are left open.
        notes: more paragraphs.
    """
    metrics = columns(config)
    header = ["model", *metrics, "s/epoch", "epochs", "parameters", "seed"]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for row in [*rows, *summary]:
        if "error" in row:
            reason = row["error"].replace("|", "\\|").splitlines()[0]
            empty = [NO_VALUE] * (len(header) - 3)
            lines.append([row["model"], f"failed: {reason}", *empty, str(row.get("seed", NO_VALUE))])
            continue
        lines.append(
            [
                row["model"],
                *(_cell(row, metric.lower()) for metric in metrics),
                _number(row, "seconds_per_epoch", ".2f"),
                _number(row, "epochs", "d"),
                _number(row, "parameters", ",d"),
                str(row.get("seed", NO_VALUE)),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines)]
    aligned = (
        " | ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        )
        for line in lines
    )
    notes = [evaluation_rule(config), *_notes(rows, metrics), *notes]
    return "".join(f"| {line} |\n" for line in aligned) + "".join(f"\n{note}\n" for note in notes)


def columns(config) -> list[str]:
    """Names of the metrics: one for each list length, such as Recall@20, or one, such as AUC, that has no lists."""
    names = []
    for k in config["topk"]:
        for metric in config["metrics"]:
            of_lists = {"rec.items", "rec.topk"} & set(metric_information[metric.lower()])
            names.append(f"{metric}@{k}" if of_lists else metric)
    return list(dict.fromkeys(names))


def evaluation_rule(config) -> str:
    """One sentence on how the results were measured."""
    ((split, parts),) = config["eval_args"]["split"].items()
    if config["eval_type"] == EvaluatorType.VALUE:
        return f"Test results on labelled rows; split {split}: {parts}."
    mode = config["eval_args"]["mode"]["test"]
    candidates = "all items" if mode == "full" else f"the candidates of mode {mode}, drawn again in each run"
    seen = (
        "items the user had interacted with before are left out (remove_seen: true)"
        if config["remove_seen"]
        else "items the user had interacted with before are ranked as well (remove_seen: false)"
    )
    return f"Test results, ranked among {candidates}; {seen}; split {split}: {parts}."


def other_rows(row: dict, model: str, before: list[dict], tested: dict[str, HeldOut]) -> str | None:
    """How the test rows of a model differ from those of the first model that was tested, or None.

    Args:
        row: the result of the model.
        before: the rows of the models before it.
        tested: the test rows of each model that has run.
    """
    first = next((other for other in before if "error" not in other), None)
    if first is None:
        return None
    own, others = tested[model], tested[first["model"]]
    reasons = [f"left out of its data: {words}" for words in removed_words(row["data"], first["data"])]
    if np.array_equal(own.pairs, others.pairs):
        if own.rows != others.rows:
            reasons.append(
                f"its means are over {counted(own.rows, 'row')}, {_row_words(own)}, those of {first['model']} over "
                f"{others.rows:,}, {_row_words(others)}"
            )
        said = f"{model}: tested on the same interactions as {first['model']}"
        return "; ".join([said, *reasons]) if reasons else None
    common = len(np.intersect1d(own.pairs, others.pairs, assume_unique=True))
    sizes = row["data"]["interactions"], first["data"]["interactions"]
    if sizes[0] != sizes[1]:
        reasons.append(f"its data have {sizes[0]:,} interactions, those of {first['model']} {sizes[1]:,}")
    elif not reasons:
        reasons.append(
            "eval_args divide all interactions, but for sequential models only those that follow another of the user"
        )
    return (
        f"{model}: not comparable with {first['model']}: tested on {counted(own.targets, 'interaction')} of "
        f"{counted(own.users, 'user')}, {common:,} of them among the {others.targets:,} of {first['model']}; "
        + "; ".join(reasons)
    )


def _row_words(rows: HeldOut) -> str:
    return "one for each user" if rows.rows == rows.users else "one for each interaction"


def _cell(row: dict, name: str) -> str:
    value = (row["test_result"] or {}).get(name)
    if value is None:
        return NO_VALUE
    error = (row.get("test_standard_error") or {}).get(name)
    return f"{value:.4f}" if error is None else f"{value:.4f} ± {error:.4f}"


def _number(row: dict, name: str, form: str) -> str:
    return NO_VALUE if row.get(name) is None else format(row[name], form)


def _means_and_repeats(tested: dict) -> str:
    each = "user" if tested["rows"] == tested["users"] else "interaction"
    repeats = f"{tested['repeats']:,} ({tested['repeats'] / tested['targets']:.1%})"
    return (
        f"Means are over {counted(tested['rows'], 'row')}, one for each {each}. Repeats, interactions with an item that "
        f"the user had before: {repeats if tested['repeats'] else 'none'}."
    )


def _sentence(phase: str, counts: dict) -> str:
    said = evaluated_users(phase, counts)
    return f"{said[0].upper()}{said[1:]}."


def _notes(rows: list[dict], metrics: list[str]) -> list[str]:
    """Who was evaluated, what ± means, and the rows that differ."""
    done = [row for row in rows if "error" not in row]
    if not done:
        return []
    first, notes = done[0], []
    tested, validated = first["tested"], first["validated"]
    if tested["users"]:
        notes.append(f"{_sentence('tested', tested)} {_means_and_repeats(tested)}")
    else:
        notes.append(f"{_sentence('tested', tested)} There is no test result.")
    notes.append(_sentence("validated", validated))
    if not validated["users"]:
        notes[-1] += " There was nothing to choose the best epoch by, so the last one is kept."
    removed = removed_words(first["data"])
    if removed:
        notes.append(f"Before the split, filters left out {'; '.join(removed)}.")
    with_error = {name for row in done for name in row.get("test_standard_error") or {}}
    reported = {name for row in done for name in row["test_result"] or {}}
    if with_error:
        without = [metric for metric in metrics if metric.lower() in reported - with_error]
        notes.append(
            "± is the standard error over users."
            + (f" {', '.join(without)}: no mean over users, so without." if without else "")
        )
    missing = [
        metric
        for metric in metrics
        if reported and any(metric.lower() not in (row["test_result"] or {}) for row in done)
    ]
    if missing:
        notes.append(f"{NO_VALUE} is a value that the model does not have: {', '.join(missing)}.")
    return [*notes, *(f"{row['other_rows']}." for row in done if row.get("other_rows"))]
