"""Unfinished runs: the file that each leaves beside its checkpoint, and which one ``--resume`` continues.

A run writes ``<run_id>.resume`` as it goes and deletes it when it is done. A lock on ``<run_id>.lock`` says that a
process is at it; the system takes the lock away when the process ends, however it ends.
"""

from __future__ import annotations

import glob
import os
from contextlib import suppress
from logging import getLogger
from pathlib import Path
from typing import Any

import torch

from recbole_sigma.training import checkpoint
from recbole_sigma.errors import CheckpointError, ConfigError
from recbole_sigma.training.locks import FileLock, lock_probe
from recbole_sigma.training.run_log import is_run_id
from recbole_sigma.version import __version__

PARTS = {"run_id": str, "config": dict, "data": str, "epoch": int, "random": dict, "bookkeeping": dict}
UNRELATED = frozenset(
    "run_id resume checkpoint_dir data_path state show_progress verbose encoding gpu_id use_gpu log_wandb "
    "wandb_project loss_decimal_place title_field".split()
)
"""Settings that may differ between the parts of a run: they name it or its surroundings and change no number."""


class UnfinishedRun:
    """The state of a run on the disk, for this object alone while the context lasts.

    Args:
        folder: where the checkpoints are.
        run_id: name of the run.
        settings: those of the run, by which ``find_unfinished`` knows it again.

    Raises:
        ConfigError: another process, or another thread, is at this run.
    """

    def __init__(self, folder: str | os.PathLike, run_id: str, settings: dict[str, Any]):
        self.folder, self.run_id, self.settings = Path(folder), run_id, settings
        self.path = self.folder / f"{run_id}.resume"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / f"{run_id}.lock")
        if not self._lock.take():
            raise ConfigError(f"the run {run_id} is still going; expected one that has ended")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lock.release()

    def save(self, state: dict[str, Any]) -> None:
        """Write a state in the place of the one before.

        Raises:
            CheckpointError: it cannot be written; the one before is untouched.
        """
        about = {"run_id": self.run_id, "config": self.settings, "surroundings": surroundings()}
        checkpoint.save({**about, **state}, self.path)

    def load(self) -> dict[str, Any]:
        """The state that was written last; what a process left half written when it was killed is removed.

        Raises:
            ConfigError: another process has finished the run in the meantime.
            CheckpointError: the file is damaged.
        """
        if not self.path.exists():
            raise ConfigError(f"the run {self.run_id} was finished by another process; there is nothing to resume")
        _remove_half_written(self.folder, self.run_id)
        state = checkpoint.load(self.path, parts=PARTS)
        if state["surroundings"] != surroundings():
            getLogger().warning(
                f"{self.run_id} was begun with {_words(state['surroundings'])}, and goes on with "
                f"{_words(surroundings())}: the last digits may become others"
            )
        return state

    def remove(self) -> None:
        """The run is done."""
        self.path.unlink(missing_ok=True)
        self._lock.release()  # first: Windows removes no file that is open
        self._lock.path.unlink(missing_ok=True)


def surroundings() -> dict[str, Any]:
    """What numbers may depend on beside settings and data."""
    return {"recbole_sigma": __version__, "torch": str(torch.__version__), "threads": torch.get_num_threads()}


def find_unfinished(config) -> str | None:
    """Name of the newest unfinished run of the model, data set and seed of a configuration; None if there is none.

    What runs left that were killed before they had saved anything is removed.

    Raises:
        ConfigError: there are such runs, but all have other settings or are still going.
        CheckpointError: the file of one is damaged.
    """
    folder = Path(config["checkpoint_dir"])
    settings = config.plain_dict()
    others, going = [], []
    for path in _files(config, "lock"):
        with lock_probe(path) as is_going:
            if not is_going and not path.with_suffix(".resume").exists():
                _remove_half_written(folder, path.stem)
                with suppress(PermissionError):  # Windows, where it is open
                    path.unlink(missing_ok=True)
    for path in _newest_first(_files(config, "resume")):
        try:
            saved = checkpoint.load(path, parts=PARTS)["config"]
        except CheckpointError:
            if path.exists():
                raise
            continue  # the run has ended in the meantime
        if any(saved[key] != settings[key] for key in ("model", "dataset", "seed")):
            continue
        differing = sorted(
            key for key in (saved.keys() | settings.keys()) - UNRELATED if saved.get(key) != settings.get(key)
        )
        with lock_probe(path.with_suffix(".lock")) as is_going:
            has_ended = not path.exists()
        if has_ended:
            continue
        if is_going:
            going += [] if differing else [path.stem]
        elif not differing:
            return path.stem
        else:
            listed = ", ".join(f"{key} = {saved.get(key)!r} (here {settings.get(key)!r})" for key in differing)
            others.append(f"{path} has other settings: {listed}")
    if going:
        raise ConfigError(f"the run {going[0]} is still going; expected one that has ended")
    if others:
        raise ConfigError(
            f"no unfinished run in {folder} has these settings. {others[0]}. Give its settings to continue it, or "
            "delete that file or name another checkpoint_dir to begin a new run"
        )
    return None


def _files(config, suffix: str) -> list[Path]:
    """Those of this kind that runs of the model and data set of a configuration wrote."""
    paths = Path(config["checkpoint_dir"]).glob(f"*.{suffix}")
    return [path for path in paths if is_run_id(path.stem, config["model"], config["dataset"])]


def _newest_first(paths: list[Path]) -> list[Path]:
    """Without those that are gone."""
    times = {}
    for path in paths:
        with suppress(FileNotFoundError):
            times[path] = path.stat().st_mtime
    return sorted(times, key=times.get, reverse=True)


def _remove_half_written(folder: Path, run_id: str) -> None:
    for path in folder.glob(f".{glob.escape(run_id)}.*"):
        path.unlink(missing_ok=True)


def _words(versions: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in versions.items())
