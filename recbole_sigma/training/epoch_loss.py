"""The losses of an epoch: kept step by step without waiting for a GPU, read at the end, and logged."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recbole_sigma.errors import TrainingError
from recbole_sigma.model.base import StepLoss

UNIT = "nats per target"


class EpochLoss(NamedTuple):
    """The mean losses of an epoch of one of the plugin's models.

    Attributes:
        total: what training minimises, in nats per target.
        sums: by name, the terms that are sums over the targets, in nats per target.
        values: by name, the other terms, which have no unit: means over the steps.
    """

    total: float
    sums: dict[str, float]
    values: dict[str, float]

    def history_entry(self) -> dict[str, Any]:
        """What the history of a run says of the losses of an epoch."""
        return {"train_loss": self.total, "unit": UNIT, "terms": {**self.sums, **self.values}}

    def add_to_line(self, line: str, decimals: int) -> str:
        """RecBole's line in the log about an epoch, with the unit of the loss and with all terms."""
        parts = [f"{line.removesuffix(']')} {UNIT}"]
        for terms, unit in ((self.sums, f"in {UNIT}"), (self.values, "without unit")):
            if terms:
                listed = ", ".join(f"{name}: {value:.{decimals}f}" for name, value in terms.items())
                parts.append(f"terms {unit}: {listed}")
        return "; ".join(parts) + "]"

    def scalars(self, tag: str) -> dict[str, float]:
        """Names in TensorBoard, with the unit, and values; ``tag`` is that of the total."""
        prefix = tag.partition("/")[0]
        return {
            f"{tag} ({UNIT})": self.total,
            **{f"{prefix}/{name} ({UNIT})": value for name, value in self.sums.items()},
            **{f"{prefix}/{name}": value for name, value in self.values.items()},
        }


class StepLosses:
    """The total and the terms of each step of an epoch so far, as small tensors on the device of the training.

    The terms are those of the first step.
    """

    def __init__(self):
        self.rows: list[Tensor] = []
        self.sums: list[str] = []
        self.values: list[str] = []

    def __len__(self) -> int:
        """Steps so far."""
        return len(self.rows)

    def add(self, loss: StepLoss) -> None:
        """Add a step.

        Raises:
            TrainingError: it has other terms than the steps before.
        """
        if not self.rows:
            self.sums, self.values = list(loss.sums), list(loss.values)
        if loss.sums.keys() != set(self.sums) or loss.values.keys() != set(self.values):
            raise TrainingError(
                f"loss_terms of the model gave {', '.join(loss.terms)} in one step, and "
                f"{', '.join([*self.sums, *self.values])} in the steps before; expected the same names in each step"
            )
        terms = [loss.sums[name] for name in self.sums] + [loss.values[name] for name in self.values]
        self.rows.append(torch.stack([loss.total.detach(), *terms]))

    def read(self) -> Tensor:
        """The losses ``[steps, 1 + terms]`` on the CPU, totals first; waits for a GPU."""
        return torch.stack(self.rows).cpu() if self.rows else torch.zeros(0, 1)

    def mean(self, num_batches: int) -> EpochLoss:
        """The means of a whole epoch.

        The loss of a step is its sum over targets divided by ``targets_per_batch``, the number of targets of an epoch
        divided by ``num_batches``. So the losses of all steps, divided by ``num_batches``, are a mean over the targets.

        Args:
            num_batches: by which ``targets_per_batch`` was computed; with ``train_batch_tokens``, the number of steps
                may differ a little from it.
        """
        losses = self.read().double()
        total, *terms = (losses.sum(0) / num_batches).tolist()
        num_sums = len(self.sums)
        values = losses[:, 1 + num_sums :].mean(0).tolist()
        return EpochLoss(total, dict(zip(self.sums, terms[:num_sums])), dict(zip(self.values, values)))

    def plain(self) -> dict[str, Any]:
        """As entries of a state of training."""
        return {"step_losses": self.read(), "loss_terms": {"sums": self.sums, "values": self.values}}

    @classmethod
    def from_plain(cls, state: dict[str, Any], device: torch.device) -> StepLosses:
        """Inverse of ``plain``."""
        losses = cls()
        losses.rows = list(state["step_losses"].to(device))
        losses.sums, losses.values = state["loss_terms"]["sums"], state["loss_terms"]["values"]
        return losses
