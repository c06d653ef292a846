"""Runs in child processes, several at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import sleep

from benchmarks.paper.plan import Run

ROOT = Path(__file__).parents[2]
POLLING_SECONDS = 0.1


def run_children(
    runs: Iterable[Run], data_path: str, results: Path, jobs: int, threads: int
) -> Iterator[tuple[Run, dict]]:
    """Yield each run with its record, or with ``error`` and ``traceback`` if it failed, in the order in which they end.

    A run is taken from ``runs`` only when it can start. Closing the iterator stops the children.

    Args:
        results: the file to which the children append their records.
    """
    waiting, children = iter(runs), []
    try:
        while True:
            for run in islice(waiting, jobs - len(children)):
                children.append(_Child(run, data_path, results, threads))
            if not children:
                return
            ended = [child for child in children if child.process.poll() is not None]
            if not ended:
                sleep(POLLING_SECONDS)
            for child in ended:
                children.remove(child)
                yield child.run, child.outcome()
    finally:
        for child in children:
            child.stop()


class _Child:
    """A process of ``benchmarks.paper.one_run`` and its temporary folder."""

    def __init__(self, run: Run, data_path: str, results: Path, threads: int) -> None:
        self.run = run
        self.folder = tempfile.TemporaryDirectory(prefix="run-")
        self.errors = Path(self.folder.name, "stderr")
        places = {"data_path": data_path, "folder": self.folder.name, "results": str(results.resolve())}
        task = {**run._asdict(), **places}
        del task["settings"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.paper.one_run", json.dumps(task)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # Ctrl-C interrupts only the parent process
            )

    def outcome(self) -> dict:
        """The record of a process that has ended, or its ``error`` and ``traceback``."""
        code = self.process.returncode
        file = Path(self.folder.name, "error.json" if code else "record.json")
        if file.exists():
            outcome = json.loads(file.read_text())
        else:
            error = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            outcome = {"error": error, "traceback": self.errors.read_text(errors="replace")[-2000:]}
        self.stop()
        return outcome

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.folder.cleanup()
