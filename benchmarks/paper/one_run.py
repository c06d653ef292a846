"""A program that trains one model, and evaluates it under both rules for items seen before.

Its one argument is, as JSON, the arguments of ``measure`` and ``main``. It ends when its standard input does, with the
process that started it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import traceback
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter

from benchmarks.machine import describe_machine, versions
from benchmarks.paper import records
from benchmarks.paper.identity import relevant
from benchmarks.paper.plan import Run
from benchmarks.paper.ranks import encode, evaluate_with_ranks
from recbole_sigma.config import Config
from recbole_sigma.data import identify
from recbole_sigma.quick_start import build_run, run

RULES = {"seen_removed": True, "seen_ranked": False}
"""Names of the rules in a record, and ``remove_seen`` of each."""
DECIMAL_PLACES = 6


def measure(label: str, model: str, dataset: str, seed: int, given: dict, data_path: str) -> dict:
    """The record of a run, which is trained and selected by validation with the settings that are given.

    Args:
        label: what the run is called in the record.
        data_path: the folder of the data sets.
    """

    def configure(**others) -> Config:
        settings = {**given, "seed": seed, "data_path": data_path, "show_progress": False}
        return Config(model, dataset, config_dict={**settings, **others})

    config = configure()
    settings = relevant(config)
    code = versions()  # before the training, during which the files may change
    start = perf_counter()
    result = run(config)
    seconds = perf_counter() - start
    rules, ranks = {}, {}
    for rule, remove_seen in RULES.items():
        again = configure(remove_seen=remove_seen, metric_decimal_place=DECIMAL_PLACES)
        parts = build_run(again)
        parts.trainer.load_model(result["checkpoint"])
        valid, _ = evaluate_with_ranks(parts.trainer, parts.valid_data)
        test, ranks[rule] = evaluate_with_ranks(parts.trainer, parts.test_data)
        rules[rule] = {"valid": valid, "test": test}
    return {
        **Run(label, model, dataset, seed, given, settings).described(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "epochs": result["epochs"],
        "seconds": round(seconds, 2),
        "seconds_per_epoch": round(result["seconds_per_epoch"], 3),
        "parameters": result["parameters"],
        **rules,
        "catalog": identify(parts.dataset),
        "versions": code,
        "machine": describe_machine(),
        "settings": settings,
        "ranks": encode(ranks["seen_removed"]),
    }


def main(folder: str, results: str, **task) -> int:
    """Append the record to the results, and tell the process that started this one; returns the exit code.

    The record is appended here so that a run that has ended is not lost, whatever happens to that process.

    Args:
        folder: where to work, and to leave ``record.json``, or ``error.json`` if the run failed.
        results: the file of finished runs.
    """
    threading.Thread(target=_end_with_parent, args=[folder], daemon=True).start()
    os.chdir(folder)  # checkpoints and logs are removed with it
    try:
        record = measure(**task)
        records.append(Path(results), record)
        Path("record.json").write_text(json.dumps(record))
    except Exception as error:
        failure = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        Path("error.json").write_text(json.dumps(failure))
        return 1
    return 0


def _end_with_parent(folder: str) -> None:
    sys.stdin.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(**json.loads(sys.argv[1])))
