"""A program that trains one model and evaluates it under both rules for items seen before.

Its only argument is JSON, with the arguments of ``measure`` and ``main``. It ends when its standard input is closed, so
that it does not outlive its parent process.
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
"""The rules by their names in a record, and the value of ``remove_seen`` for each."""
DECIMAL_PLACES = 6


def measure(label: str, model: str, dataset: str, seed: int, given: dict, data_path: str) -> dict:
    """Train a model, select its best epoch on validation, evaluate it, and return the record of the run.

    Args:
        label: name of the run in the record.
        given: settings of the run; all others are the defaults.
        data_path: folder of the data sets.
    """

    def configure(**others) -> Config:
        settings = {**given, "seed": seed, "data_path": data_path, "show_progress": False}
        return Config(model, dataset, config_dict={**settings, **others})

    config = configure()
    settings = relevant(config)
    code = versions()  # before the training: the files may change while it runs
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
    """Do a run, append its record to the results, and return the exit code.

    The record is appended here, not by the parent process, so that a finished run is kept if the parent is killed.

    Args:
        folder: the working folder. The parent reads ``record.json`` there, or ``error.json`` if the run failed.
        results: the file of finished runs.
    """
    threading.Thread(target=_end_with_parent, args=[folder], daemon=True).start()
    os.chdir(folder)  # removed at the end, with the checkpoints and logs
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
