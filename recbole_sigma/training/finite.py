"""Stops training when a loss or a parameter is NaN or infinite."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from recbole_sigma.errors import TrainingError


class FiniteCheck:
    """Raises an error that says where training failed and which checkpoint is the best so far.

    Args:
        best_checkpoint: returns the path of the best checkpoint, or None if there is none yet.

    Attributes:
        epoch, step: of the next loss to check.
    """

    def __init__(self, best_checkpoint: Callable[[], str | None]):
        self.best_checkpoint = best_checkpoint
        self.epoch = self.step = 0

    def begin_epoch(self, epoch: int, step: int = 0) -> None:
        self.epoch, self.step = epoch, step

    def check_loss(self, loss: Tensor) -> None:
        """Check the loss of the next step, a scalar; waits for a GPU.

        Raises:
            TrainingError: it is not finite.
        """
        if not torch.isfinite(loss):
            self._stop(f"the training loss is {loss.item()} at epoch {self.epoch}, step {self.step}")
        self.step += 1

    def check_losses(self, losses: Tensor) -> None:
        """Check the losses ``[steps]`` of the whole epoch.

        Raises:
            TrainingError: one of them is not finite.
        """
        failed = torch.isfinite(losses).logical_not().nonzero()
        if len(failed):
            self.step = int(failed[0])
            self.check_loss(losses[self.step])

    def check_parameters(self, model: nn.Module) -> None:
        """Check all parameters after an epoch: a gradient may be NaN where the loss was still finite.

        Raises:
            TrainingError: one of them is not finite.
        """
        for name, parameter in model.named_parameters():
            if not torch.isfinite(parameter).all():
                self._stop(f"the parameter {name} is no longer finite after epoch {self.epoch}")

    def _stop(self, problem: str):
        raise TrainingError(
            f"{problem}. Best checkpoint so far: {self.best_checkpoint() or 'none was saved yet'}. A smaller "
            "learning_rate or clip_grad_norm may help"
        )
