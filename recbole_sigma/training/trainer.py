"""RecBole's trainers with the plugin's parts: each hook of RecBole hands over to the part that does the work."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import torch
from recbole.trainer import (
    KGTrainer,
    MKRTrainer,
    NCLTrainer,
    RaCTTrainer,
    RecVAETrainer,
    S3RecTrainer,
    TraditionalTrainer,
    Trainer,
)
from recbole.utils import get_trainer

from recbole_sigma.data.loaders import SequenceDataLoader
from recbole_sigma.errors import ConfigError
from recbole_sigma.evaluation import TopItemsCollector, rank_batch
from recbole_sigma.model.base import NextItemRecommender
from recbole_sigma.training import checkpoint
from recbole_sigma.training.epoch import train_on_sequences
from recbole_sigma.training.epoch_loss import EpochLoss
from recbole_sigma.training.finite import FiniteCheck
from recbole_sigma.training.model_checkpoint import contents, load_into
from recbole_sigma.training.optimizer import fused
from recbole_sigma.training.run_log import new_run_id
from recbole_sigma.training.saving import EpochProgress, StateSaver
from recbole_sigma.training.schedule import schedule_of

PREDICTED_PAIRS = 4096
"""Pairs of user and item that are scored at once for models that cannot score the whole catalog."""

RESUMABLE = {
    *(Trainer, TraditionalTrainer, RecVAETrainer, NCLTrainer),
    *(S3RecTrainer, RaCTTrainer, KGTrainer, MKRTrainer),
}
"""Trainers of RecBole whose resumed runs end like uninterrupted ones, as tests show."""


class ResumableTrainer(Trainer):
    """Mixed in front of the trainer that RecBole chooses for a model; see ``trainer_class``.

    Attributes:
        metadata: what the checkpoints say of the data set; see ``data.describe``.
        history: a dict for each epoch so far: ``epoch``; ``train_loss``; ``seconds`` of training; ``valid``, the result
            of validation, if there was one; and for the plugin's models ``unit`` of the loss and ``terms``, their means
            by name. The loss of RecBole's models is a sum over steps and has no unit.
        epoch: the number of the current epoch.
        has_checkpoint: whether this run has saved one, in ``saved_model_file``.
        saver: saves the state of the run, if it is saved.
    """

    def __init__(self, config, model):
        super().__init__(config, model)
        run_id = config["run_id"] or new_run_id(config["model"], config["dataset"])
        self.saved_model_file = os.path.join(self.checkpoint_dir, f"{run_id}.pth")
        self.pretrained_model_file = os.path.join(self.checkpoint_dir, f"pretrained-{run_id}.pth")
        self.test_batch_size = max(self.test_batch_size, PREDICTED_PAIRS)
        self.eval_collector = TopItemsCollector(config)
        if self._is_own:
            if self.enable_amp:
                raise ConfigError(f"enable_amp is not for {config['model']}; expected precision: bf16 in its place")
            if config["torch_compile"]:
                model.compile_layers()
        self.metadata: dict | None = None
        self.history: list[dict[str, Any]] = []
        self.epoch = 0
        self.has_checkpoint = False
        self.saver: StateSaver | None = None
        self.finite = FiniteCheck(lambda: self.saved_model_file if self.has_checkpoint else None)
        self._epoch_loss: EpochLoss | None = None  # of the last epoch, for the plugin's models
        self._rates: tuple[float, float] | None = None  # of its first and last step, if they follow a schedule

    @property
    def _is_own(self) -> bool:
        """Whether the model is one of the plugin's."""
        return isinstance(self.model, NextItemRecommender)

    def _build_optimizer(self, **kwargs):
        optimizer = super()._build_optimizer(**kwargs)
        return fused(optimizer) if self._is_own else optimizer

    # Training --------------------------------------------------------------------------------------------------

    def _train_epoch(self, train_data, epoch_idx, loss_func=None, show_progress=False):
        self.epoch = epoch_idx
        progress = EpochProgress(epoch_idx) if self.saver is None else self.saver.begin_epoch(epoch_idx)
        self.finite.begin_epoch(epoch_idx, step=len(progress.losses))
        if isinstance(train_data, SequenceDataLoader):
            parts = self.model, self.optimizer, train_data, progress, self.finite, self.saver
            schedule = schedule_of(self.config, steps=len(train_data))
            self._epoch_loss = train_on_sequences(*parts, self.clip_grad_norm, show_progress, schedule)
            if schedule is not None:
                self._rates = schedule.at(epoch_idx, 0), schedule.at(epoch_idx, len(train_data) - 1)
            losses, entry = self._epoch_loss.total, self._epoch_loss.history_entry()
        else:
            losses = super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)
            entry = {"train_loss": float(sum(losses) if isinstance(losses, tuple) else losses)}
        self.history.append({"epoch": epoch_idx, **entry, "seconds": progress.seconds, "valid": None})
        self.finite.check_parameters(self.model)
        return losses

    def _check_nan(self, loss):
        self.finite.check_loss(loss)

    def _generate_train_loss_output(self, epoch_idx, s_time, e_time, losses):
        line = super()._generate_train_loss_output(epoch_idx, s_time, e_time, losses)
        if self._epoch_loss is not None:
            line = self._epoch_loss.add_to_line(line, self.config["loss_decimal_place"] or 4)
        if self._rates is not None:
            first, last = self._rates
            line = f"{line.removesuffix(']')}; learning rate: {first:.3g} to {last:.3g}]"
        return line

    def _add_train_loss_to_tensorboard(self, epoch_idx, losses, tag="Loss/Train"):
        if self._epoch_loss is None:
            super()._add_train_loss_to_tensorboard(epoch_idx, losses, tag)
        else:
            for name, value in self._epoch_loss.scalars(tag).items():
                self.tensorboard.add_scalar(name, value, epoch_idx)
        if self._rates is not None:
            self.tensorboard.add_scalar("Learning rate/Last step", self._rates[1], epoch_idx)

    # Checkpoints -----------------------------------------------------------------------------------------------

    def _save_checkpoint(self, epoch, verbose=True, **kwargs):
        path = kwargs.get("saved_model_file", self.saved_model_file)
        checkpoint.save(contents(self.model, self.config, self.metadata, epoch, self.best_valid_score), path)
        self.has_checkpoint = True
        if verbose:
            self.logger.info(f"Saved the best model so far: {path}")

    def save_pretrained_model(self, epoch, saved_model_file):
        """Hook of RecBole's trainers that pretrain, whose own file name is the same in every run."""
        self._save_checkpoint(epoch, verbose=False, saved_model_file=self.pretrained_model_file)
        self.saved_model_file = self.pretrained_model_file

    def resume_checkpoint(self, resume_file):
        """Not offered: what RecBole restores here does not continue the run (RecBole #2126).

        Raises:
            ConfigError: always.
        """
        raise ConfigError("a checkpoint is a model and cannot be resumed; resume: true continues an interrupted run")

    def load_model(self, path: str) -> None:
        """Load the parameters of a checkpoint into the model.

        Raises:
            CheckpointError: it is missing, damaged, or of another model, other settings or another catalog.
        """
        load_into(self.model, path, self.config, self.metadata)
        self.logger.info(f"Loaded {path}")

    # Evaluation ------------------------------------------------------------------------------------------------

    def _valid_epoch(self, valid_data, show_progress=False):
        score, result = super()._valid_epoch(valid_data, show_progress)
        if self.history:
            self.history[-1]["valid"] = {metric: float(value) for metric, value in result.items()}
        return score, result

    def evaluate(self, eval_data, load_best_model=True, model_file=None, show_progress=False):
        if load_best_model and eval_data:
            self.load_model(model_file or self.saved_model_file)
        with torch.autocast(self.device.type, enabled=False):
            return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)

    def _full_sort_batch_eval(self, batched_data):
        if self.eval_collector.needs_scores:
            return super()._full_sort_batch_eval(batched_data)
        k = max(self.config["topk"])
        return rank_batch(self.model, batched_data, self.tot_item_num, k, self.item_tensor, self.device)


def trainer_class(config) -> type:
    """RecBole's trainer for the model of a configuration, with the hooks of ``ResumableTrainer``."""
    return _resumable(get_trainer(config["MODEL_TYPE"], config["model"]))


def can_resume(config) -> bool:
    """Whether a saved state holds all that RecBole's trainer for the model needs."""
    return get_trainer(config["MODEL_TYPE"], config["model"]) in RESUMABLE


def has_state(trainer: ResumableTrainer) -> bool:
    """Whether the state of a run can be saved; models that read the data once start from the beginning instead."""
    return can_resume(trainer.config) and not isinstance(trainer, TraditionalTrainer)


@cache
def _resumable(stock: type) -> type:
    """A subclass of a trainer of RecBole with the hooks of ``ResumableTrainer``.

    Classes are made by ``type``, because RecBole has one trainer class for each way of training, with its own loop or
    optimizers, and some models (such as RecVAE, NCL, S3Rec) need theirs. The hooks are the same for all of them.
    """
    if stock is Trainer:
        return ResumableTrainer
    return type(stock.__name__, (ResumableTrainer, stock), {})
