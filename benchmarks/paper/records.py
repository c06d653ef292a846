"""Results as lines of JSON, in files to which several processes may append."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path


def append(path: Path, record: dict) -> None:
    """Append a record as one line and flush it to disk. After a line that a crash has cut, it starts a new line."""
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
    """The records of a file; an empty list if there is no file.

    Damaged lines are skipped and reported on standard error; ``pandas.read_json`` would fail on them.
    """
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
            print(f"{path}, line {number}: damaged, skipped", file=sys.stderr)
    return records


def results_file(folder: Path, dataset: str) -> Path:
    """The file of finished runs on a data set."""
    return folder / "results" / f"{dataset}.jsonl"


def failures_file(folder: Path, dataset: str) -> Path:
    """The file of failed runs on a data set, with every attempt."""
    return folder / "failures" / f"{dataset}.jsonl"


class Claims:
    """Locks on the runs that this process is doing, so that no other process on this machine does them too.

    Each is a lock on one byte of an empty file, and ends with its process. Lock files would need one file for each run.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = open(folder / ".claims", "wb")

    def take(self, run_hash: str) -> bool:
        """Lock a run, and return whether it was free."""
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(run_hash, 16))
        except OSError:
            return False
        return True

    def release(self, run_hash: str) -> None:
        fcntl.lockf(self.file, fcntl.LOCK_UN, 1, int(run_hash, 16))
