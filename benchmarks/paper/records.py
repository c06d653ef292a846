"""Results as lines of JSON, to which several processes may append."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path


def append(path: Path, record: dict) -> None:
    """Add a record as one line, on the disk when this returns; a line that a crash has cut stays a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(record).encode() + b"\n"
    with open(path, "a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
        os.fsync(file.fileno())


def read(path: Path) -> list[dict]:
    """The records of a file, none if there is none; damaged lines are left out and named on the standard error."""
    if not path.exists():
        return []
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        lines = file.read().split(b"\n")
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records += [json.loads(line)] if line.strip() else []
        except ValueError:
            print(f"{path}, line {number}: damaged, left out", file=sys.stderr)
    return records


def results_file(folder: Path, dataset: str) -> Path:
    """Finished runs on a data set."""
    return folder / "results" / f"{dataset}.jsonl"


def failures_file(folder: Path, dataset: str) -> Path:
    """Runs on a data set that failed, in any attempt."""
    return folder / "failures" / f"{dataset}.jsonl"


class Claims:
    """Runs that this process is doing, so that another one on this machine does not do them as well.

    Each is a lock on one byte of a file that stays empty; locks end with the process that holds them.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = open(folder / ".claims", "wb")

    def take(self, run_hash: str) -> bool:
        """Whether the run is free, and now this process's."""
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(run_hash, 16))
        except OSError:
            return False
        return True

    def release(self, run_hash: str) -> None:
        fcntl.lockf(self.file, fcntl.LOCK_UN, 1, int(run_hash, 16))
