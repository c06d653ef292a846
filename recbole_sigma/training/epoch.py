"""The loop of an epoch over packed sequences."""

from __future__ import annotations

from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from tqdm import tqdm

from recbole_sigma.data.loaders import SequenceDataLoader
from recbole_sigma.model.base import NextItemRecommender, StepLoss
from recbole_sigma.training.epoch_loss import EpochLoss
from recbole_sigma.training.finite import FiniteCheck
from recbole_sigma.training.interrupt import defer_interrupt
from recbole_sigma.training.saving import EpochProgress, StateSaver
from recbole_sigma.training.schedule import Schedule, set_learning_rate


def train_on_sequences(
    model: NextItemRecommender,
    optimizer: Optimizer,
    loader: SequenceDataLoader,
    progress: EpochProgress,
    finite: FiniteCheck,
    saver: StateSaver | None = None,
    clip_grad_norm: dict | None = None,
    show_progress: bool = False,
    schedule: Schedule | None = None,
) -> EpochLoss:
    """Train for an epoch, or for the rest of one. No step waits for a GPU.

    Args:
        progress: how far the epoch is; its steps so far are not repeated.
        saver: saves the state of the run from time to time and at Ctrl-C, which then waits for the end of the step.
        clip_grad_norm: arguments of ``torch.nn.utils.clip_grad_norm_``.
        schedule: of the learning rate; None leaves it as it is.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
        TrainingError: a loss is not finite.
    """
    model.train()
    losses, done = progress.losses, len(progress.losses)
    batches = tqdm(
        loader.batches(done), f"Train {progress.epoch}", len(loader), initial=done, ncols=100, disable=not show_progress
    )
    with defer_interrupt(active=saver is not None) as interruption:
        for step, batch in enumerate(batches, done):
            if schedule is not None:
                set_learning_rate(optimizer, schedule.at(progress.epoch, step))
            losses.add(_step(model, optimizer, batch, loader.targets_per_batch, finite, clip_grad_norm))
            stops = interruption.pressed
            if saver is not None and (stops or saver.is_due()):
                saver.save(progress)
            if stops:
                break
    finite.check_losses(losses.read()[:, 0])
    return losses.mean(len(loader))


def _step(model, optimizer, batch, targets_per_batch: float, finite: FiniteCheck, clip_grad_norm) -> StepLoss:
    """A step of the optimizer; returns its loss without a graph."""
    optimizer.zero_grad()
    loss = model.step_loss(batch, targets_per_batch)
    if loss.total.device.type == "cpu":  # a GPU would have to finish the step first
        finite.check_loss(loss.total)
    loss.total.backward()
    if clip_grad_norm:
        clip_grad_norm_(model.parameters(), **clip_grad_norm)
    optimizer.step()
    return loss._replace(total=loss.total.detach())
