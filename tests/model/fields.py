"""Toy models that read more than items: times, users and categories. Each has a definition in NumPy beside it.

Every model appends its training batches to its ``batches``.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import nn

from recbole_sigma.layers.packing import TrainingBatch
from recbole_sigma.model.base import LossTerms, NextItemRecommender
from recbole_sigma.model.multi_interest import MultiInterestRecommender

SCALES = (60.0, 4000.0)
"""Seconds in which an item loses its weight in the interest of now and in that of always."""


def prefix_means(packing, vectors, times, scale):
    """Means ``[M, D]`` of all items so far, with weights that fall with the time since then."""
    first = packing.lengths.cumsum(0) - packing.lengths
    age = (times - times[packing.repeat(first)]).to(vectors.dtype)  # since the first item

    def mean(rows):  # [b, t, D + 1]
        vectors, age = rows[..., :-1], rows[..., -1]
        logits = (age.unsqueeze(1) - age.unsqueeze(2)) / scale  # [b, to, from]
        later = torch.ones(logits.shape[1:], dtype=torch.bool).triu(1)
        return logits.masked_fill(later, -torch.inf).softmax(-1) @ vectors

    return packing.by_bucket(mean, torch.cat([vectors, age.unsqueeze(1)], 1))


class RecentInterests(MultiInterestRecommender):
    """Two interests: the mean of what was had recently, and the mean of what was ever had."""

    reads_times = True
    batches: ClassVar[list[TrainingBatch]] = []

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.init_weights(config["initializer_range"])

    def interests(self, items, packing, times):
        vectors = self.item_embedding(items)
        return torch.stack([prefix_means(packing, vectors, times, scale) for scale in SCALES], 1)

    def weights(self, items, packing, times):
        age = times[packing.repeat(packing.lengths.cumsum(0) - 1)] - times
        weight = torch.exp(-age.unsqueeze(1) / torch.tensor(SCALES, dtype=age.dtype))
        return (weight / packing.segment_sums(weight)[packing.sequence]).float()

    def loss_terms(self, batch):
        self.batches.append(batch)
        return super().loss_terms(batch)

    @staticmethod
    def defined(state, items, times, user, categories):
        """User vectors ``[K, D]`` after a history of ids, from the parameters."""
        vectors = state["item_embedding.weight"].double().numpy()[items]
        times = np.array(times)
        weights = np.stack([np.exp((times - times[-1]) / scale) for scale in SCALES])
        return weights / weights.sum(1, keepdims=True) @ vectors

    @staticmethod
    def item_vectors_defined(state, categories):
        return state["item_embedding.weight"].double().numpy()


class UserMean(NextItemRecommender):
    """The mean of the items, and a vector of the user."""

    reads_users = True
    batches: ClassVar[list[TrainingBatch]] = []

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.user_embedding = nn.Embedding(dataset.num(self.USER_ID), config["hidden_size"], padding_idx=0)
        self.init_weights(config["initializer_range"])

    def states(self, items, packing, users):
        count = (packing.position + 1).unsqueeze(1)
        means = packing.prefix_sums(self.item_embedding(items)) / count
        return means + self.user_embedding(users)[packing.sequence]

    def encode_users(self, items, packing, users):
        return self.states(items, packing, users)[packing.last].unsqueeze(1)

    def loss_terms(self, batch):
        self.batches.append(batch)
        users = batch.select(self.states(batch.items, batch.packing, **batch.fields))
        return LossTerms({"ce": self.item_loss(users, self.item_vectors[1:], batch.target)}, len(batch.target))

    @staticmethod
    def defined(state, items, times, user, categories):
        items = state["item_embedding.weight"].double().numpy()[items]
        return items.mean(0, keepdims=True) + state["user_embedding.weight"].double().numpy()[user]

    item_vectors_defined = RecentInterests.item_vectors_defined


class CategoryMean(NextItemRecommender):
    """The mean of the items, each of which has the vectors of its categories as well as its own."""

    needs_categories = True
    batches: ClassVar[list[TrainingBatch]] = []

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.pairs = [torch.from_numpy(ids) for ids in dataset.item_categories]
        self.category_embedding = nn.Embedding(int(self.pairs[1].max()) + 1, config["hidden_size"])
        self.init_weights(config["initializer_range"])

    @property
    def item_vectors(self):
        item, category = self.pairs
        return self.item_embedding.weight.index_add(0, item, self.category_embedding(category))

    def encode_users(self, items, packing):
        vectors = self.item_vectors[items]
        return (packing.segment_sums(vectors) / packing.lengths.unsqueeze(1)).unsqueeze(1)

    def loss_terms(self, batch):
        self.batches.append(batch)
        means = batch.packing.prefix_sums(self.item_vectors[batch.items]) / (batch.packing.position + 1).unsqueeze(1)
        loss = self.item_loss(batch.select(means), self.item_vectors[1:], batch.target)
        return LossTerms({"ce": loss}, len(batch.target))

    @classmethod
    def defined(cls, state, items, times, user, categories):
        return cls.item_vectors_defined(state, categories)[items].mean(0, keepdims=True)

    @staticmethod
    def item_vectors_defined(state, categories):
        """With ``categories[item]``, the numbers of the categories of each item."""
        weight, own = (state[f"{kind}_embedding.weight"].double().numpy() for kind in ("item", "category"))
        return np.stack([vector + own[sorted(numbers)].sum(0) for vector, numbers in zip(weight, categories)])
