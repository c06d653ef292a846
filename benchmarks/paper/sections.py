"""The tables of the report as Markdown."""

from __future__ import annotations

import re

from benchmarks.markdown import markdown_table
from benchmarks.paper.identity import record_of
from benchmarks.paper.names import cell, probability, settings_text, short
from benchmarks.paper.plan import run_again
from benchmarks.paper.results import Result, measured
from benchmarks.paper.select import Trial, best
from benchmarks.paper.significance import compare
from recbole_sigma.errors import ConfigError

MAIN = "SIGMA"


def accuracy(results: list[Result], published: dict[str, dict], metrics: list[str]) -> str:
    """Our numbers beside those of the paper. Rows that only the paper has come last."""
    own = {result.row.published for result in results}
    best_of = {
        metric: max((value.mean for r in results if (value := r.test(metric))), default=None) for metric in metrics
    }
    rows = []
    for result in results:
        line = [result.row.label]
        for metric in metrics:
            value = result.test(metric)
            line += [
                _printed(published.get(result.row.published, {}), metric),
                cell(value, result.planned, bold=value is not None and value.mean == best_of[metric]),
            ]
        rows.append(line)
    for name, numbers in published.items():
        if name not in own:
            rows.append([name, *(text for metric in metrics for text in (_printed(numbers, metric), "not run"))])
    return markdown_table(["", *(f"{short(m)}{which}" for m in metrics for which in (", paper", ""))], rows)


def _printed(numbers: dict, metric: str) -> str:
    return f"{numbers[metric]:.4f}" if metric in numbers else "–"


def other_rule(results: list[Result], metrics: list[str]) -> str:
    """The same models with seen items ranked as well, and the epochs, time and parameters of the runs."""
    rows = []
    for result in results:
        line = [result.row.label, *(cell(result.test(metric, "seen_ranked"), result.planned) for metric in metrics)]
        for key, form in (("epochs", ",.0f"), ("seconds_per_epoch", ",.1f"), ("parameters", ",.0f")):
            value = measured([record[key] for record in result.records])
            line.append(format(value.mean, form) if value else "not run")
        rows.append(line)
    return markdown_table(["", *map(short, metrics), "epochs", "s an epoch", "parameters"], rows)


def significance(results: list[Result], metrics: list[str]) -> str | None:
    """SIGMA minus each other row, with p; the best other row in a metric is bold. None if there is nothing to compare.

    Args:
        metrics: only Recall and NDCG are compared.
    """
    compared = [metric for metric in metrics if metric.startswith(("recall@", "ndcg@"))]
    done = [result for result in results if result.records]
    main = next((result for result in done if result.row.label == MAIN), None)
    others = [result for result in done if result is not main]
    if main is None or not others or not compared:
        return None
    best_of = {metric: max(result.test(metric).mean for result in others) for metric in compared}
    rows = []
    for other in others:
        found = {metric: compare(main.records, other.records, metric) for metric in compared}
        if None in found.values():
            rows.append([other.row.label, *["no seed in common"] * len(compared), "0"])
            continue
        line = []
        for metric, difference in found.items():
            value = f"{difference.mean:+.4f}"
            value = f"**{value}**" if other.test(metric).mean == best_of[metric] else value
            line.append(f"{value} (p {probability(difference.p)})")
        rows.append([other.row.label, *line, str(difference.seeds)])
    return markdown_table([f"{MAIN} minus", *map(short, compared), "n"], rows)


def search_log(trials: dict[str, list[Trial]]) -> str:
    """Every trial with its validation metrics, but no test metrics; the best trials are bold."""
    rows = []
    for model, of_model in trials.items():
        winner = best(of_model)
        for trial in of_model:
            name = f"{model} {trial.number}"
            line = [f"**{name}**" if trial is winner else name, settings_text(trial.changed)]
            if trial.record is None:
                rows.append([*line, "not run", "not run", "not run"])
                continue
            valid = trial.record["seen_removed"]["valid"]
            rows.append([*line, f"{valid['recall@20']:.4f}", f"{valid['ndcg@20']:.4f}", str(trial.record["epochs"])])
    return markdown_table(["trial", "settings", "R@20, validation", "N@20, validation", "epochs"], rows, 2)


def selected_settings(models: list[str], selected: dict[str, dict]) -> str:
    """A list of the selected settings that the runs of a table build on."""
    return "\n".join(
        f"- {model}: " + (settings_text(selected[model]) if model in selected else "nothing selected, the defaults")
        for model in dict.fromkeys(models)
    )


def provenance(records: list[dict]) -> str:
    """Date, seeds, machine, versions and data of the runs; all values if they differ."""

    def distinct(values) -> str:
        return "; ".join(dict.fromkeys(values))

    days = sorted(record["date"][:10] for record in records)
    machines = (
        f"{m['cpu']}, {m['cores']} cores, {m['threads']} of them for a run"
        + ("" if m["gpu"] == "none" else f", {m['gpu']}")
        for m in (record["machine"] for record in records)
    )
    versions = [dict(record["versions"]) for record in records]
    commits = [found.pop("commit", "not recorded") for found in versions]
    catalogs = {record["catalog"]["digest"]: record["catalog"] for record in records}.values()
    data = "; ".join(f"{catalog['users']:,} users, {catalog['items']:,} items" for catalog in catalogs)
    lines = [
        f"Runs: {len(records)}, of " + (days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"),
        "Seeds: " + ", ".join(map(str, sorted({record["seed"] for record in records}))),
        f"Machine: {distinct(machines)}",
        "Versions: " + distinct(", ".join(f"{name} {text}" for name, text in found.items()) for found in versions),
        f"Commit (+: modified): {distinct(commits)}",
        f"Data: {data}" + (": the runs are not all of the same data" if len(catalogs) > 1 else ""),
    ]
    return "\n".join(f"- {line}" for line in lines)


def failed_runs(failures: list[dict], done: list[dict]) -> str | None:
    """The last error of each run that has failed and is not done; None if there is none.

    Failures whose settings are not valid any more are left out, because they cannot be run again.

    Args:
        done: the records of finished runs.
    """
    left = {}
    for failure in failures:
        try:
            run = run_again(failure)
        except ConfigError:
            continue
        if record_of(done, run) is None:
            left[run.hash] = failure
    rows = [
        [failure["label"], failure["dataset"], str(failure["seed"]), _first_line(failure["error"]), failure["date"]]
        for failure in left.values()
    ]
    return markdown_table(["run", "data set", "seed", "error", "date"], rows, 5) if rows else None


def _first_line(error: str) -> str:
    """The first line of an error, with the folders removed from its paths."""
    return re.sub(r"""(?<![^\s'"(=:])/(?:[^/\s'"]+/)+""", "", error.splitlines()[0])
