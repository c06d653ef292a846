"""Models that describe a user by several vectors."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from recbole_sigma.layers.packing import Packing, TrainingBatch
from recbole_sigma.model.base import LossTerms, NextItemRecommender
from recbole_sigma.rules import at_least


class MultiInterestRecommender(NextItemRecommender):
    """A next-item model with ``K = num_interests`` vectors per user.

    A model implements ``interests`` and ``weights``; the loss, the scores, ``explain`` and the report follow from them.
    The score of an item is its largest product with an interest, in training too: (9) of SIGMA.
    """

    rules = {**NextItemRecommender.rules, "num_interests": at_least(1)}
    interests_role = "score"

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.num_interests = config["num_interests"]

    @abstractmethod
    def interests(self, items: Tensor, packing: Packing) -> Tensor:
        """Interests ``[M, K, E]`` of a user after every item; items are ids ``[M]``.

        Their products with ``item_vectors`` rank the items.
        """

    @abstractmethod
    def weights(self, items: Tensor, packing: Packing) -> Tensor:
        """Weight ``[M, K]``, not negative, of each item in each interest after the last item of its sequence."""

    def encode_users(self, items: Tensor, packing: Packing, **fields: Tensor) -> Tensor:
        return self.interests(items, packing, **fields)[packing.last] / self.temperature

    def loss_terms(self, batch: TrainingBatch) -> LossTerms:
        users = batch.select(self.interests(batch.items, batch.packing, **batch.fields))
        return LossTerms({"ce": self.item_loss(users, self.item_vectors[1:], batch.target)}, len(batch.target))
