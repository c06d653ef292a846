"""The state of a run on the disk, and which run ``--resume`` continues.

A run writes its state to ``<run_id>.resume`` and deletes the file at its end. While a process works on the run, it has
a lock on ``<run_id>.lock``; the system releases the lock when the process ends in any way.
"""

from __future__ import annotations

import glob
import os
from contextlib import suppress
from logging import getLogger
from pathlib import Path
from typing import Any

import torch

from recbole_sigma.errors import CheckpointError, ConfigError
from recbole_sigma.safe_write import writable_folder
from recbole_sigma.training import checkpoint
from recbole_sigma.training.locks import FileLock, lock_probe
from recbole_sigma.training.run_log import is_run_id
from recbole_sigma.version import __version__

PARTS = {
    **{"run_id": str, "config": dict, "data": str, "epoch": int, "random": dict, "bookkeeping": dict},
    **{"step_losses": torch.Tensor, "loss_terms": dict},
}
"""The entries that every state has, and their types."""
UNRELATED = frozenset(
    "run_id resume checkpoint_dir data_path state show_progress verbose encoding gpu_id use_gpu log_wandb "
    "wandb_project loss_decimal_place title_field".split()
)
"""Settings that may change when a run resumes: names, places and output, which change no number."""


class ResumableRun:
    """The state of a run on the disk, which only this object may use until the end of the context.

    Args:
        folder: of the checkpoints.
        run_id: name of the run.
        settings: of the run; ``find_interrupted`` compares them.

    Raises:
        ConfigError: another process, or another thread, works on this run, or the folder cannot be written to.
    """

    def __init__(self, folder: str | os.PathLike, run_id: str, settings: dict[str, Any]):
        self.folder, self.run_id, self.settings = Path(folder), run_id, settings
        self.path = self.folder / f"{run_id}.resume"
        writable_folder(self.folder)
        self._lock = FileLock(self.folder / f"{run_id}.lock")
        if not self._lock.acquire():
            raise still_in_progress(run_id)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lock.release()

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state on the disk.

        Raises:
            CheckpointError: it cannot be written; the state before is unchanged.
        """
        about = {"run_id": self.run_id, "config": self.settings, "surroundings": surroundings()}
        checkpoint.save({**about, **state}, self.path)

    def load(self) -> dict[str, Any]:
        """The state that was saved last. Incomplete files of a killed process are deleted.

        Raises:
            ConfigError: another process has finished the run.
            CheckpointError: the file is damaged, or of another version.
        """
        if not self.path.exists():
            raise ConfigError(f"another process has finished the run {self.run_id}; there is nothing to resume")
        _remove_incomplete(self.folder, self.run_id)
        state = _load_state(self.path)
        if state["surroundings"] != surroundings():
            getLogger().warning(
                f"{self.run_id} began with {_words(state['surroundings'])}, and resumes with "
                f"{_words(surroundings())}: the last digits of its results may differ from those of an uninterrupted run"
            )
        return state

    def remove(self) -> None:
        """Delete the state of a run that is finished."""
        self.path.unlink(missing_ok=True)
        self._lock.release()  # first: Windows does not delete open files
        self._lock.path.unlink(missing_ok=True)


def surroundings() -> dict[str, Any]:
    """What numbers may depend on besides settings and data."""
    return {"recbole_sigma": __version__, "torch": str(torch.__version__), "threads": torch.get_num_threads()}


def find_interrupted(config) -> str | None:
    """Name of the newest interrupted run of the model, data set and seed of a configuration; None if there is none.

    Files of runs that were killed before they saved a state are deleted.

    Raises:
        ConfigError: there are such runs, but all have other settings or are in progress.
        CheckpointError: the state of one is damaged, or of another version.
    """
    folder = Path(config["checkpoint_dir"])
    settings = config.plain_dict()
    others, in_progress = [], []
    for path in _files(config, "lock"):
        with lock_probe(path) as is_taken:
            if not is_taken and not path.with_suffix(".resume").exists():
                _remove_incomplete(folder, path.stem)
                with suppress(PermissionError):  # Windows, where it is open
                    path.unlink(missing_ok=True)
    for path in newest_first(_files(config, "resume")):
        try:
            saved = _load_state(path)["config"]
        except CheckpointError:
            if path.exists():
                raise
            continue  # the run has just ended
        if any(saved[key] != settings[key] for key in ("model", "dataset", "seed")):
            continue
        differing = differing_settings(saved, settings)
        with lock_probe(path.with_suffix(".lock")) as is_taken:
            has_ended = not path.exists()
        if has_ended:
            continue
        if is_taken:
            in_progress += [] if differing else [path.stem]
        elif not differing:
            return path.stem
        else:
            others.append(f"{path} has other settings: {differing}")
    if in_progress:
        raise still_in_progress(in_progress[0])
    if others:
        raise other_settings(folder, others[0])
    return None


def differing_settings(saved: dict[str, Any], settings: dict[str, Any], unrelated: frozenset[str] = UNRELATED) -> str:
    """The settings of an interrupted run that differ from the present ones, in words; empty if none does.

    Args:
        unrelated: keys that may differ.
    """
    keys = sorted(key for key in (saved.keys() | settings.keys()) - unrelated if saved.get(key) != settings.get(key))
    return ", ".join(f"{key} = {saved.get(key)!r} (here {settings.get(key)!r})" for key in keys)


def other_settings(folder: Path, difference: str) -> ConfigError:
    """The error for interrupted runs that all have other settings."""
    return ConfigError(
        f"no interrupted run in {folder} has these settings. {difference}. Use its settings to resume it; delete the "
        "file, or use another checkpoint_dir, to begin a new run"
    )


def still_in_progress(run_id: str) -> ConfigError:
    """The error for a run that another process works on."""
    return ConfigError(f"the run {run_id} is still in progress; expected one that has ended")


def _load_state(path: Path) -> dict[str, Any]:
    try:
        return checkpoint.load(path, parts=PARTS)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}. Resume the run with the version of recbole_sigma that began it, or delete {path} to begin a new "
            "run"
        ) from error


def _files(config, suffix: str) -> list[Path]:
    """Files of this type that belong to runs of the model and data set of a configuration."""
    paths = Path(config["checkpoint_dir"]).glob(f"*.{suffix}")
    return [path for path in paths if is_run_id(path.stem, config["model"], config["dataset"])]


def newest_first(paths: list[Path]) -> list[Path]:
    """Without files that have just been deleted."""
    times = {}
    for path in paths:
        with suppress(FileNotFoundError):
            times[path] = path.stat().st_mtime
    return sorted(times, key=times.get, reverse=True)


def _remove_incomplete(folder: Path, run_id: str) -> None:
    """Delete the temporary files of a process that was killed while it wrote."""
    for path in folder.glob(f".{glob.escape(run_id)}.*"):
        path.unlink(missing_ok=True)


def _words(versions: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in versions.items())
