"""What a safe run needs beyond RecBole's trainers: own checkpoints, exact losses, a stop at NaN, ranking in tiles."""

from __future__ import annotations

import os
from functools import cache
from time import perf_counter

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
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from recbole_sigma.training import checkpoint
from recbole_sigma.config import model_keys
from recbole_sigma.data.loaders import SequenceDataLoader
from recbole_sigma.errors import CheckpointError, ConfigError, TrainingError
from recbole_sigma.evaluation import RankedItems, TopItemsCollector, rank_catalog
from recbole_sigma.training.interrupt import defer_interrupt
from recbole_sigma.model.base import NextItemRecommender
from recbole_sigma.training.resume import UnfinishedRun
from recbole_sigma.training.run_log import new_run_id
from recbole_sigma.training.state import TrainingState

SAVE_SECONDS = 300
"""Seconds of an epoch after which the state of training is saved in the middle of it."""

PREDICTED_PAIRS = 4096
"""Pairs of user and item that are scored at once for models that cannot score the whole catalog."""


RESUMABLE = {
    *(Trainer, TraditionalTrainer, RecVAETrainer, NCLTrainer),
    *(S3RecTrainer, RaCTTrainer, KGTrainer, MKRTrainer),
}
"""Trainers of RecBole whose runs, resumed, end in the tests as those that were not interrupted."""


class ResumableTrainer(Trainer):
    """Mixed in front of the trainer that RecBole chooses for a model.

    Attributes:
        metadata: what the checkpoints say of the data set; see ``data.describe``.
        history: of each epoch so far its number, ``train_loss``, ``seconds`` of training, and ``valid``, the result of
            validation, if there was one.
        has_checkpoint: whether this run has saved one.
        unfinished: where the state of training is kept, if it is, so that a run can be resumed.
        data_fingerprint: what a run that is resumed has to be trained on; see ``data.data_fingerprint``.
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
        self.metadata = None
        self.history = []
        self.has_checkpoint = False
        self.epoch = self.train_step = 0
        self.unfinished: UnfinishedRun | None = None
        self.data_fingerprint = None
        self.training_state: TrainingState | None = None
        self._resumed: dict | None = None
        self._losses: list[torch.Tensor] = []  # of the epoch's first batches, where a run goes on in the middle of it
        self._order: list[torch.Tensor] = []
        self._start = self._saved_at = perf_counter()

    @property
    def _is_own(self) -> bool:
        """Whether the model is one of the plugin's."""
        return isinstance(self.model, NextItemRecommender)

    def _build_optimizer(self, **kwargs):
        optimizer = super()._build_optimizer(**kwargs)
        if self._is_own and type(optimizer) is torch.optim.Adam:
            groups = [{**group, "fused": True} for group in optimizer.param_groups]
            optimizer = torch.optim.Adam(groups, fused=True)
        return optimizer

    def fit(self, train_data, valid_data=None, *args, **kwargs):
        if self.unfinished is not None:
            self.training_state = TrainingState(self, [loader for loader in (train_data, valid_data) if loader])
        return super().fit(train_data, valid_data, *args, **kwargs)

    def _train_epoch(self, train_data, epoch_idx, loss_func=None, show_progress=False):
        self.epoch, self.train_step = epoch_idx, 0
        self._begin_epoch()
        if isinstance(train_data, SequenceDataLoader):
            losses = self.train_on_sequences(train_data, show_progress)
        else:
            losses = super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)
        seconds = perf_counter() - self._start
        self._check_parameters()
        total = sum(losses) if isinstance(losses, tuple) else losses
        self.history.append({"epoch": epoch_idx, "train_loss": float(total), "seconds": seconds, "valid": None})
        return losses

    def _valid_epoch(self, valid_data, show_progress=False):
        score, result = super()._valid_epoch(valid_data, show_progress)
        if self.history:
            self.history[-1]["valid"] = {metric: float(value) for metric, value in result.items()}
        return score, result

    def train_on_sequences(self, loader: SequenceDataLoader, show_progress: bool = False) -> float:
        """An epoch in which no step waits for a GPU; returns the sum of the losses of all steps."""
        self.model.train()
        losses, self._losses = self._losses, []
        self.train_step = done = len(losses)
        batches = tqdm(
            loader.batches(done), f"Train {self.epoch}", len(loader), initial=done, ncols=100, disable=not show_progress
        )
        is_kept = self.training_state is not None
        with defer_interrupt(active=is_kept) as interruption:
            for batch in batches:
                losses.append(self._optimize(batch, loader.targets_per_batch))
                stops = interruption.pressed
                if is_kept and (stops or perf_counter() - self._saved_at > SAVE_SECONDS):
                    self._save_state(losses)
                if stops:
                    break
        losses = torch.stack(losses).cpu()
        if self.device.type != "cpu":
            for loss in losses:
                self._check_nan(loss)
        return losses.sum().item()

    def _optimize(self, batch, targets_per_batch):
        self.optimizer.zero_grad()
        loss = self.model.step_loss(batch, targets_per_batch).total
        if self.device.type == "cpu":  # for a loss on a GPU one would have to wait
            self._check_nan(loss)
        loss.backward()
        if self.clip_grad_norm:
            clip_grad_norm_(self.model.parameters(), **self.clip_grad_norm)
        self.optimizer.step()
        return loss.detach()

    def _check_parameters(self):
        """A gradient may be no number where the loss still was one."""
        for name, parameter in self.model.named_parameters():
            if not torch.isfinite(parameter).all():
                self._stop(f"the parameter {name} is no longer finite after epoch {self.epoch}")

    def _check_nan(self, loss):
        if not torch.isfinite(loss):
            self._stop(f"the training loss is {loss.item()} at epoch {self.epoch}, step {self.train_step}")
        self.train_step += 1

    def _stop(self, problem: str):
        kept = self.saved_model_file if self.has_checkpoint else "none was saved yet"
        raise TrainingError(
            f"{problem}. Best checkpoint so far: {kept}. A smaller learning_rate or clip_grad_norm may help"
        )

    def _save_checkpoint(self, epoch, verbose=True, **kwargs):
        path = kwargs.get("saved_model_file", self.saved_model_file)
        other = self.model.other_parameter().items()  # modules among them are part of the state_dict
        state = {
            "model": self.config["model"],
            "config": self.config.plain_dict(),
            "metadata": self.metadata,
            "epoch": epoch,
            "best_valid_score": self.best_valid_score,
            "state_dict": self.model.state_dict(),
            "other_parameter": {key: value for key, value in other if not isinstance(value, torch.nn.Module)},
        }
        checkpoint.save(state, path)
        self.has_checkpoint = True
        if verbose:
            self.logger.info(f"Saved the best model so far: {path}")

    def save_pretrained_model(self, epoch, saved_model_file):
        """Hook of RecBole's pretraining trainers, whose file name would be the same in every run."""
        self._save_checkpoint(epoch, verbose=False, saved_model_file=self.pretrained_model_file)
        self.saved_model_file = self.pretrained_model_file

    def resume(self) -> None:
        """Let the next ``fit`` go on where the unfinished run stopped.

        Raises:
            ConfigError: another process has finished the run.
            CheckpointError: its files are missing or damaged, or it was trained on other data.
        """
        run_id, path = self.unfinished.run_id, self.unfinished.path
        state = self.unfinished.load()
        if state["data"] != self.data_fingerprint:
            raise CheckpointError(
                f"the interactions are no longer those that {run_id} was trained on; expected the same files. Put them "
                f"back, or delete {path} to begin a new run"
            )
        if state["checkpoint"] is not None:
            self.saved_model_file = os.path.join(self.checkpoint_dir, state["checkpoint"])
            try:
                checkpoint.load(self.saved_model_file)
            except CheckpointError as error:
                raise CheckpointError(
                    f"{error}. It was the best one of {run_id} so far; put it back, or delete {path} to begin a new run"
                ) from error
            self.has_checkpoint = True
        self._resumed, self.start_epoch = state, state["epoch"]
        self.logger.info(f"Continue {run_id} in epoch {state['epoch']}, after {len(state['losses'])} of its batches")

    def resume_checkpoint(self, resume_file):
        """Not offered: what RecBole restores does not continue the run (RecBole #2126)."""
        raise ConfigError("a checkpoint is a model and cannot be resumed; resume: true continues an unfinished run")

    def _begin_epoch(self):
        """Save the state, or restore it where a resumed run goes on; RecBole's ``fit`` has its books settled here."""
        self._start = perf_counter()
        if self.training_state is None:
            return
        if self._resumed is None:
            self._order = self.training_state.order()
            self._save_state()
            self._start = perf_counter()
            return
        state, self._resumed = self._resumed, None
        self._order = state["order"]
        self.training_state.put(state)
        self.training_state.set_order(self._order)
        self._losses = list(state["losses"].to(self.device))
        self._saved_at = perf_counter()
        self._start = self._saved_at - state["seconds"]

    def _save_state(self, losses=()):
        """Write all that the run needs to go on after the given batches of the epoch, of which these are the losses."""
        self.unfinished.save(
            {
                "data": self.data_fingerprint,
                "epoch": self.epoch,
                "order": self._order,
                "losses": torch.stack(list(losses)).cpu() if losses else torch.zeros(0),
                "seconds": perf_counter() - self._start,
                "checkpoint": os.path.basename(self.saved_model_file) if self.has_checkpoint else None,
                **self.training_state.take(),
            }
        )
        self._saved_at = perf_counter()

    def evaluate(self, eval_data, load_best_model=True, model_file=None, show_progress=False):
        if load_best_model and eval_data:
            self.load_model(model_file or self.saved_model_file)
        with torch.autocast(self.device.type, enabled=False):
            return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)

    def _full_sort_batch_eval(self, batched_data):
        """Ranked items in the place of scores, where the metrics and the model allow it."""
        if self.eval_collector.needs_scores:
            return super()._full_sort_batch_eval(batched_data)
        interaction, history, positive_user, positive_item = batched_data
        ranked = rank_catalog(
            self.model,
            interaction.to(self.device),
            self.tot_item_num,
            max(self.config["topk"]),
            history,
            self.item_tensor,
        )
        return interaction, RankedItems(ranked.items), positive_user, positive_item

    def load_model(self, path: str) -> None:
        """Put the parameters of a checkpoint into the model.

        Raises:
            CheckpointError: it is missing, damaged, or of another model, other settings or another catalog.
        """
        state = checkpoint.load(path)
        own = model_keys(type(self.model))
        settings = {key: value for key, value in self.config.plain_dict().items() if key in own}
        checkpoint.restore(self.model, state, path, self.config["model"], self.metadata, settings)
        self.logger.info(f"Loaded {path}")


def trainer_class(config) -> type:
    """RecBole's trainer for the model of this configuration, made safe."""
    return _safe(get_trainer(config["MODEL_TYPE"], config["model"]))


def can_resume(config) -> bool:
    """Whether the state of RecBole's trainer for the model is known to be whole."""
    return get_trainer(config["MODEL_TYPE"], config["model"]) in RESUMABLE


def keeps_state(trainer: ResumableTrainer) -> bool:
    """Whether there is a state to keep: a single pass over the data begins again."""
    return can_resume(trainer.config) and not isinstance(trainer, TraditionalTrainer)


@cache
def _safe(stock: type) -> type:
    if stock is Trainer:
        return ResumableTrainer
    return type(stock.__name__, (ResumableTrainer, stock), {})
