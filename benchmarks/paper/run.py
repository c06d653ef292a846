"""Do the missing runs of a table of the paper, each in its own process.

Run from the root of the repository: ``python -m benchmarks.paper.run --help``. The same command again continues where
it stopped and repeats failed runs. Several commands may run at the same time. Exit codes: 0 done, 1 runs failed or
another process is doing them, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from statistics import mean

from benchmarks.arguments import positive
from benchmarks.paper import records
from benchmarks.paper.children import run_children
from benchmarks.paper.identity import record_of
from benchmarks.paper.plan import HERE, Run, plan, read_table, table_names
from benchmarks.paper.select import read_selected
from recbole_sigma.config import Config
from recbole_sigma.errors import DataError, RecBoleSigmaError


def main(words: list[str]) -> int:
    arguments = parse(words)
    try:
        table = read_table(arguments.table)
        selected = read_selected(arguments.folder).get(arguments.dataset, {})
        runs = plan(table, arguments.dataset, selected, arguments.model, arguments.seeds)
        check_data(runs[0], arguments.data_path)
    except RecBoleSigmaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):  # scripts start background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    grid = Grid(runs, arguments.dataset, arguments.folder, arguments.jobs)
    try:
        return grid.complete(str(arguments.data_path), arguments.threads)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        return 130


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.paper.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", help=f"{', '.join(table_names())}, or a YAML file like these")
    parser.add_argument("--dataset", required=True, help="data set of the table")
    parser.add_argument(
        "--data_path",
        type=lambda text: Path(text).resolve(),
        default="dataset",
        metavar="FOLDER",
        help="folder of the data sets (default: dataset)",
    )
    parser.add_argument("--model", nargs="+", help="models to run (default: all of the table)")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="seeds to run (default: all of the table)")
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="runs at the same time (default: 1)")
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="threads of each run (default: 1)")
    parser.add_argument(
        "--folder", type=Path, default=HERE, help="of results, failures and selected.yaml (default: %(default)s)"
    )
    return parser.parse_args(words)


def check_data(run: Run, data_path: Path) -> None:
    """Check that the data set of a run is there.

    Raises:
        DataError: its file of interactions does not exist.
    """
    config = Config(run.model, run.dataset, config_dict={**run.given, "data_path": str(data_path)})
    file = Path(config["data_path"], f"{run.dataset}.inter")
    if not file.is_file():
        raise DataError(f"{file} does not exist; --data_path must be the folder that contains {run.dataset}/")


class Grid:
    """The runs of a table on a data set, some of which are done."""

    def __init__(self, runs: list[Run], dataset: str, folder: Path, jobs: int) -> None:
        self.runs, self.jobs = runs, jobs
        self.results = records.results_file(folder, dataset)
        self.failures = records.failures_file(folder, dataset)
        self.claims = records.Claims(folder)
        self.elsewhere: list[Run] = []

    def complete(self, data_path: str, threads: int) -> int:
        """Do the missing runs and return the exit code."""
        missing, failed = self.missing(), []
        print(f"{len(self.runs)} runs, {len(self.runs) - len(missing)} of them done before", flush=True)
        with closing(run_children(self.free(missing), data_path, self.results, self.jobs, threads)) as outcomes:
            for done, (run, outcome) in enumerate(outcomes, 1):
                if "error" in outcome:
                    failed.append((run, outcome["error"]))
                    records.append(self.failures, failure(run, outcome))
                self.claims.release(run.hash)
                print(
                    f"[{done}/{len(missing)}] {run.label}, seed {run.seed}: {summary(outcome)}{self.time_left()}",
                    flush=True,
                )
        elsewhere = [run for run in self.missing() if run in self.elsewhere]
        if elsewhere:
            print(f"{len(elsewhere)} runs are being done by another process")
        for run, error in failed:
            print(f"failed: {run.label}, seed {run.seed}: {error.splitlines()[0]}")
        if failed:
            print(f"tracebacks: {self.failures}")
        return 1 if failed or elsewhere else 0

    def missing(self) -> list[Run]:
        found = records.read(self.results)
        return [run for run in self.runs if record_of(found, run) is None]

    def free(self, missing: list[Run]) -> Iterator[Run]:
        """Lock and yield, one by one, the missing runs that no other process is doing or has done since."""
        for run in missing:
            if not self.claims.take(run.hash):
                self.elsewhere.append(run)
            elif record_of(records.read(self.results), run):
                self.claims.release(run.hash)
            else:
                yield run

    def time_left(self) -> str:
        """Estimate the time of the missing runs from the mean time of each model; runs in progress count in full."""
        seconds: dict[str, list[float]] = {}
        for record in records.read(self.results):
            seconds.setdefault(record["model"], []).append(record["seconds"])
        missing = self.missing()
        if not missing or not all(run.model in seconds for run in missing):
            return ""
        total = sum(mean(seconds[run.model]) for run in missing) / self.jobs
        return f"; about {total / 60:,.0f} min left"


def failure(run: Run, outcome: dict) -> dict:
    """The record of a run that failed."""
    return {
        **run.described(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **outcome,
    }


def summary(outcome: dict) -> str:
    """One line about an outcome. It has no test metrics, which only the report shows."""
    if "error" in outcome:
        return f"failed: {outcome['error'].splitlines()[0]}"
    valid = ", ".join(f"{name} {value:.4f}" for name, value in outcome["seen_removed"]["valid"].items())
    return f"validation {valid}; {outcome['epochs']} epochs, {outcome['seconds']:,.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
