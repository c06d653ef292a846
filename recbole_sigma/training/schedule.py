"""The learning rate of each training step: a linear warm-up, then a constant or a cosine."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch.optim import Optimizer

from recbole_sigma.config.keys import has_schedule


class Schedule(NamedTuple):
    """The learning rate as a function of the epoch and of the step in it, so that nothing has to be saved.

    In step ``t`` of ``T = epochs * steps``, counted from 1, with ``W = warmup_epochs * steps``::

        peak * t / W                                            up to t = W
        peak                                                    afterwards, constant
        peak * (1 + cos(pi * (t - W) / (T - W))) / 2            afterwards, cosine: zero in the last step

    The cosine is that of Loshchilov and Hutter (2017), without restarts.

    Attributes:
        kind: "constant" or "cosine".
        peak: the rate after the warm-up.
        epochs: of the whole training.
        warmup_epochs: at most ``epochs``; may be a fraction.
        steps: of an epoch. Where an epoch has more of them, as it may with ``train_batch_tokens``, the rate of this
            number holds until its end.
    """

    kind: str
    peak: float
    epochs: int
    warmup_epochs: float
    steps: int

    def at(self, epoch: int, step: int) -> float:
        """The rate of a step; epochs and the steps in them are counted from 0."""
        t = epoch * self.steps + min(step + 1, self.steps)
        total, warm_up = self.epochs * self.steps, self.warmup_epochs * self.steps
        if t <= warm_up:
            return self.peak * t / warm_up
        if self.kind == "constant":
            return self.peak
        return self.peak * (1 + math.cos(math.pi * (t - warm_up) / (total - warm_up))) / 2


def schedule_of(config, steps: int) -> Schedule | None:
    """The schedule of a configuration; None if the rate never changes.

    Args:
        steps: of an epoch.
    """
    if not has_schedule(config):
        return None
    kind, warmup_epochs = config["learning_rate_schedule"], config["warmup_epochs"]
    return Schedule(kind, config["learning_rate"], config["epochs"], warmup_epochs, steps)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Let the next step of an optimizer have this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
