"""Which seeds of a run are finished, on the disk, so that an interrupted run does not train them again.

The file ``<run_id>.seeds`` is deleted when all seeds are finished. While a process works on the run, it has a lock on
``<run_id>.lock``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole_sigma.errors import CheckpointError
from recbole_sigma.recommend.members import digest
from recbole_sigma.safe_write import replace_file, writable_folder
from recbole_sigma.training.locks import FileLock, lock_probe
from recbole_sigma.training.resume import (
    UNRELATED,
    differing_settings,
    newest_first,
    other_settings,
    still_in_progress,
)
from recbole_sigma.training.run_log import is_run_id

SUFFIX = ".seeds"
PARTS = {"settings": dict, "seeds": list, "data": str, "members": list}
MEMBER_PARTS = {"seed": int, "checkpoint": str, "sha256": str, "result": dict}


class Progress:
    """The finished seeds of a run, which only this object may change until the end of the context.

    Args:
        folder: of the checkpoints.
        run_id: name of the run.
        settings: of the run, apart from the seed.
        seeds: all of them.
        data: fingerprint of the interactions.

    Raises:
        ConfigError: another process works on this run.
    """

    def __init__(self, folder: Path, run_id: str, settings: dict[str, Any], seeds: Sequence[int], data: str) -> None:
        writable_folder(folder)
        self.folder, self.path, self._lock = folder, folder / f"{run_id}{SUFFIX}", FileLock(folder / f"{run_id}.lock")
        if not self._lock.acquire():
            raise still_in_progress(run_id)
        self._content = {"settings": settings, "seeds": list(seeds), "data": data, "members": []}

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._lock.release()
        self._lock.path.unlink(missing_ok=True)

    def finished(self) -> dict[int, dict]:
        """The results of the finished seeds. One whose checkpoint is missing or has changed is trained again.

        Raises:
            CheckpointError: the file is damaged, or the run was trained on other interactions.
        """
        content = _read(self.path)
        if content["data"] != self._content["data"]:
            raise CheckpointError(
                f"the interactions are not those that {self.path.stem} was trained on; expected the same files. Restore "
                f"them, or delete {self.path} to begin a new run"
            )
        for member in content["members"]:
            checkpoint = os.path.join(self.folder, member["checkpoint"])
            if os.path.isfile(checkpoint) and digest(checkpoint) == member["sha256"]:
                member["result"]["checkpoint"] = checkpoint
                self._content["members"].append(member)
            else:
                state = "has changed since its end" if os.path.isfile(checkpoint) else "is missing"
                getLogger().warning(f"{checkpoint} {state}: seed {member['seed']} is trained again")
        return {member["seed"]: member["result"] for member in self._content["members"]}

    def add(self, seed: int, result: dict) -> None:
        """Keep the result of a seed, which is finished."""
        name, path = os.path.basename(result["checkpoint"]), result["checkpoint"]
        self._content["members"].append({"seed": seed, "checkpoint": name, "sha256": digest(path), "result": result})
        with replace_file(self.path) as temporary:
            temporary.write_text(json.dumps(self._content, default=str) + "\n", encoding="utf-8")

    def remove(self) -> None:
        """Delete the file of a run whose seeds are all finished."""
        self.path.unlink(missing_ok=True)


def find_progress(folder: Path, names: Sequence[str], settings: dict[str, Any], seeds: Sequence[int]) -> str | None:
    """Name of the newest interrupted run of these seeds; None if there is none.

    Args:
        names: the parts of its name before the time.

    Raises:
        ConfigError: there are such runs, but all have other settings or are in progress.
        CheckpointError: the file of one is damaged.
    """
    others, in_progress = [], []
    for path in newest_first([path for path in folder.glob(f"*{SUFFIX}") if is_run_id(path.stem, *names)]):
        content = _read(path)
        if content["seeds"] != list(seeds):
            continue
        differing = differing_settings(content["settings"], settings, UNRELATED | {"seed", "seeds"})
        with lock_probe(path.with_suffix(".lock")) as is_taken:
            pass
        if differing:
            others.append(f"{path} has other settings: {differing}")
        elif is_taken:
            in_progress.append(path.stem)
        else:
            return path.stem
    if in_progress:
        raise still_in_progress(in_progress[0])
    if others:
        raise other_settings(folder, others[0])
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError):
        content = None
    if not _has(content, PARTS) or not all(_has(member, MEMBER_PARTS) for member in content["members"]):
        raise CheckpointError(
            f"{path}, which says how far an interrupted run of several seeds is, is damaged; delete it to begin a new run"
        )
    return content


def _has(value, parts: dict[str, type]) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in parts.items())
