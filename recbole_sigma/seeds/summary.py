"""Mean and spread over seeds, and the sentences below their table."""

from __future__ import annotations

import math
import statistics

from recbole_sigma.wording import counted, listed

RESULTS = ("test_result", "best_valid_result")


def spread(rows: list[dict]) -> tuple[dict | None, dict | None]:
    """Mean and sample standard deviation of the metrics of test and validation over the seeds that are finished.

    Args:
        rows: results, or rows with ``error``.

    Returns:
        Dicts with ``test_result`` and ``best_valid_result``, each metrics by name, or None where there is no result;
        None in place of a dict with too few seeds for it, none for a mean and one for a standard deviation.
    """
    done = [row for row in rows if "error" not in row]
    mean = {name: _over_seeds(done, name, statistics.fmean) for name in RESULTS} if done else None
    deviation = {name: _over_seeds(done, name, _deviation) for name in RESULTS} if len(done) > 1 else None
    return mean, deviation


def _over_seeds(rows: list[dict], name: str, function) -> dict[str, float] | None:
    if any(not row[name] for row in rows):
        return None
    return {metric: function([row[name][metric] for row in rows]) for metric in rows[0][name]}


def _deviation(values: list[float]) -> float:
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def notes(result: dict, config) -> list[str]:
    """What the rows below those of the seeds are, how the average was chosen, and which seeds failed.

    Args:
        result: of ``run_seeds``.
        config: its settings.
    """
    done = [row for row in result["rows"] if "error" not in row]
    failed = [row for row in result["rows"] if "error" in row]
    found = []
    if len(done) > 1:
        found.append(f"Mean and standard deviation (of a sample) are those over {counted(len(done), 'seed')}.")
    if failed:
        seeds = listed(str(row["seed"]) for row in failed)
        found.append(
            f"Failed with seed {seeds}: mean, standard deviation and average are without "
            f"{'it' if len(failed) == 1 else 'them'}. The same command with --resume tries again."
        )
    average = result["average"]
    if average is not None and "error" not in average:
        found.append(_choice(result, average, config["valid_metric"]))
    return found


def _choice(result: dict, average: dict, metric: str) -> str:
    """How the average that is tested was chosen."""
    tested, key = f"the average of {average['average']}", metric.lower()
    if not average["best_valid_result"]:
        return f"There was no validation to choose an average by: {tested} is tested."
    values = ", ".join(f"average of {kind} {own[key]:.4f}" for kind, own in average["valid_results"].items())
    mean = result["mean"]["best_valid_result"]
    seeds = f"mean of the seeds {mean[key]:.4f}, " if mean else ""
    if len(average["valid_results"]) == 1:
        return f"{metric} on validation: {seeds}{values}. Probabilities need the scores of all items, so {tested} is tested."
    return f"{metric} on validation: {seeds}{values}. The better one there, {tested}, is tested; the other one is not."
