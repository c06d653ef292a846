"""What SIGMA asks of the part that reads the whole sequence: its losses, and the user vectors that score items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Callable, NamedTuple

from torch import Tensor, nn

from recbole_sigma.layers.interests import Interests
from recbole_sigma.layers.packing import Packing, SampledBatch, TrainingBatch


class History(NamedTuple):
    """What is known of ``B`` sequences of ``M`` items; ``K`` interests, ``D`` hidden size."""

    items: Tensor  # [M], ids
    vectors: Tensor  # [M, D], of the items
    packing: Packing
    interests: tuple[Tensor, Tensor] | None  # mean [M, K, D] and intensity [M, K] after every item, if they are read


class Targets(NamedTuple):
    """What the losses of a batch are computed from.

    Attributes:
        batch: the sequences and their targets.
        sample: the part of it that estimates what needs the interests.
        prior: the interests at the targets of the sample, or None for a standard normal prior.
        table: item vectors, ``[V, D]``.
        catalogs: for each of the sequence model's ``tables``, the vectors that score the items, ``[V - 1, D]``.
        item_loss: cross-entropy of the targets, summed, of user vectors ``[N, D]``, a catalog and targets ``[N]``, and
            optionally a ``weight`` of each, ``[N]``.
    """

    batch: TrainingBatch
    sample: SampledBatch
    prior: Interests | None
    table: Tensor
    catalogs: list[Tensor]
    item_loss: Callable[..., Tensor]


class SequenceModel(nn.Module, ABC):
    """Reads sequences and scores items.

    Attributes:
        reads_interests: whether it reads the interests after every item.
        mixes: whether it has a user vector for each interest, whose softmaxes it mixes.
    """

    reads_interests = False
    mixes = False

    @abstractmethod
    def losses(self, history: History, targets: Targets) -> tuple[Tensor, Tensor]:
        """Cross-entropy and KL, sums over the targets in nats."""

    @abstractmethod
    def users(self, history: History) -> Tensor:
        """User vectors after every item, without noise: ``[M, 1, D]``, or ``[M, K, E]`` if it mixes."""

    def weights(self, intensity: Tensor) -> Tensor:
        """Weights ``[..., K]`` of the softmaxes that are mixed, from the intensity of the interests ``[..., K]``."""
        return intensity

    def tables(self, table: Tensor) -> list[Tensor]:
        """Tables of item vectors ``[V, D]`` that lie side by side in the vectors that score items."""
        return [table]
