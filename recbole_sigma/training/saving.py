"""When the state of a run is saved, and how a run resumes from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from logging import getLogger
from time import perf_counter
from typing import Any

from torch import Tensor

from recbole_sigma.errors import CheckpointError
from recbole_sigma.training import checkpoint
from recbole_sigma.training.epoch_loss import StepLosses
from recbole_sigma.training.resume import ResumableRun
from recbole_sigma.training.state import TrainingState

SAVE_SECONDS = 300
"""Seconds after which the state is saved again in the middle of an epoch."""


@dataclass
class EpochProgress:
    """How far an epoch is.

    Attributes:
        epoch: its number, from 0.
        losses: of its steps so far; empty for RecBole's models.
        start: when it began, by ``perf_counter``.
    """

    epoch: int
    losses: StepLosses = field(default_factory=StepLosses)
    start: float = field(default_factory=perf_counter)

    @property
    def seconds(self) -> float:
        """Since its start."""
        return perf_counter() - self.start


class StateSaver:
    """Saves the state of a run at the start of each epoch and within it, so that the run can resume from there.

    Args:
        trainer: a ``ResumableTrainer``, before its first step.
        loaders: those of training and validation.
        run: where the state is saved.
        data_fingerprint: of the interactions that the run is trained on; see ``data.data_fingerprint``.
    """

    def __init__(self, trainer, loaders: Sequence[Any], run: ResumableRun, data_fingerprint: str):
        self.trainer, self.run, self.data_fingerprint = trainer, run, data_fingerprint
        self.state = TrainingState(trainer, loaders)
        self._loaded: dict[str, Any] | None = None
        self._order: list[Tensor] = []
        self._saved_at = perf_counter()

    def resume(self) -> None:
        """Let the trainer's next ``fit`` continue from the saved state.

        Raises:
            ConfigError: another process has finished the run.
            CheckpointError: its files are missing or damaged, or it was trained on other data.
        """
        run_id, path, trainer = self.run.run_id, self.run.path, self.trainer
        state = self.run.load()
        if state["data"] != self.data_fingerprint:
            raise CheckpointError(
                f"the interactions are not those that {run_id} was trained on; expected the same files. Restore them, "
                f"or delete {path} to begin a new run"
            )
        if state["checkpoint"] is not None:
            trainer.saved_model_file = os.path.join(trainer.checkpoint_dir, state["checkpoint"])
            try:
                checkpoint.load(trainer.saved_model_file)
            except CheckpointError as error:
                raise CheckpointError(
                    f"{error}. It was the best checkpoint of {run_id} so far; restore it, or delete {path} to begin a "
                    "new run"
                ) from error
            trainer.has_checkpoint = True
        trainer.start_epoch, self._loaded = state["epoch"], state
        getLogger().info(f"Resume {run_id} in epoch {state['epoch']}, after {len(state['step_losses'])} of its batches")

    def begin_epoch(self, epoch: int) -> EpochProgress:
        """Save the state, or restore it in a run that resumes. RecBole's ``fit`` has finished the epoch before."""
        if self._loaded is None:
            self._order = self.state.order()
            self.save(EpochProgress(epoch))
            return EpochProgress(epoch)
        state, self._loaded = self._loaded, None
        self._order = state["order"]
        self.state.put(state)
        self.state.set_order(self._order)
        self._saved_at = perf_counter()
        losses = StepLosses.from_plain(state, self.trainer.device)
        return EpochProgress(epoch, losses, self._saved_at - state["seconds"])

    def is_due(self) -> bool:
        """Whether the last save was long ago."""
        return perf_counter() - self._saved_at > SAVE_SECONDS

    def save(self, progress: EpochProgress) -> None:
        """Save everything that the run needs to continue after the steps so far.

        Raises:
            CheckpointError: the file cannot be written; the state before is untouched.
        """
        trainer = self.trainer
        self.run.save(
            {
                "data": self.data_fingerprint,
                "epoch": progress.epoch,
                "order": self._order,
                "seconds": progress.seconds,
                "checkpoint": os.path.basename(trainer.saved_model_file) if trainer.has_checkpoint else None,
                **progress.losses.plain(),
                **self.state.take(),
            }
        )
        self._saved_at = perf_counter()
