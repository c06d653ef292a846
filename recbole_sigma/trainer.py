"""What a safe run needs beyond RecBole's trainers: checkpoints of its own, exact losses, and a stop at NaN."""

from __future__ import annotations

import os
from functools import cache, partial
from time import perf_counter

import torch
from recbole.trainer import Trainer
from recbole.utils import get_trainer

from recbole_sigma import checkpoint
from recbole_sigma.data.loaders import SequenceDataLoader
from recbole_sigma.errors import TrainingError
from recbole_sigma.run_files import new_run_id

PREDICTED_PAIRS = 4096
"""Pairs of user and item that are scored at once for models that cannot score the whole catalog."""


class SafeTrainer(Trainer):
    """Mixed in front of the trainer that RecBole chooses for a model.

    Attributes:
        catalog: what the checkpoints say of the data set; see ``checkpoint.catalog``.
        epoch_seconds: duration of each training epoch so far.
        has_checkpoint: whether this run has saved one.
    """

    def __init__(self, config, model):
        super().__init__(config, model)
        run_id = config["run_id"] or new_run_id(config["model"], config["dataset"])
        self.saved_model_file = os.path.join(self.checkpoint_dir, f"{run_id}.pth")
        self.test_batch_size = max(self.test_batch_size, PREDICTED_PAIRS)
        self.catalog = None
        self.epoch_seconds = []
        self.has_checkpoint = False

    def _train_epoch(self, train_data, epoch_idx, loss_func=None, show_progress=False):
        if loss_func is None and isinstance(train_data, SequenceDataLoader):
            loss_func = partial(self.model.calculate_loss, num_targets=train_data.targets_per_batch)
        self.epoch, self.train_step = epoch_idx, 0
        start = perf_counter()
        losses = super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)
        self.epoch_seconds.append(perf_counter() - start)
        return losses

    def _check_nan(self, loss):
        if not torch.isfinite(loss):
            kept = self.saved_model_file if self.has_checkpoint else "none was saved yet"
            raise TrainingError(
                f"the training loss is {loss.item()} at epoch {self.epoch}, step {self.train_step}. Best checkpoint so "
                f"far: {kept}. A smaller learning_rate or clip_grad_norm may help"
            )
        self.train_step += 1

    def _save_checkpoint(self, epoch, verbose=True, **kwargs):
        if not self.config["single_spec"] and self.config["local_rank"] != 0:
            return
        path = kwargs.get("saved_model_file", self.saved_model_file)
        other = self.model.other_parameter().items()  # modules among them are part of the state_dict
        state = {
            "model": self.config["model"],
            "config": self.config.plain_dict(),
            "catalog": self.catalog,
            "epoch": epoch,
            "cur_step": self.cur_step,
            "best_valid_score": self.best_valid_score,
            "state_dict": self.model.state_dict(),
            "other_parameter": {key: value for key, value in other if not isinstance(value, torch.nn.Module)},
            "optimizer": self.optimizer.state_dict(),
        }
        checkpoint.save(state, path)
        self.has_checkpoint = True
        if verbose:
            self.logger.info(f"Saved the best model so far: {path}")

    def save_pretrained_model(self, epoch, saved_model_file):
        """Hook of RecBole's pretraining trainers, whose file name would be the same in every run."""
        folder, run = os.path.split(self.saved_model_file)
        path = os.path.join(folder, run if self.has_checkpoint else f"pretrained-{run}")
        self._save_checkpoint(epoch, verbose=False, saved_model_file=path)
        self.saved_model_file = path

    def evaluate(self, eval_data, load_best_model=True, model_file=None, show_progress=False):
        if load_best_model and eval_data:
            self.load_model(model_file or self.saved_model_file)
        return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)

    def load_model(self, path: str) -> None:
        """Put the parameters of a checkpoint into the model.

        Raises:
            CheckpointError: it is missing, damaged, or of another model, other settings or another catalog.
        """
        state = checkpoint.load(path, self.device)
        checkpoint.restore(self.model, state, path, self.config["model"], self.catalog)
        self.logger.info(f"Loaded {path}")


def trainer_class(config) -> type:
    """RecBole's trainer for the model of this configuration, made safe; tree models keep their own."""
    return _safe(get_trainer(config["MODEL_TYPE"], config["model"]))


@cache
def _safe(stock: type) -> type:
    if stock is Trainer:
        return SafeTrainer
    return type(stock.__name__, (SafeTrainer, stock), {}) if issubclass(stock, Trainer) else stock
