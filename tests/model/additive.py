"""A model whose scores are known functions of the history: what each item of it gives to each item of the catalog."""

from __future__ import annotations

import torch
from torch import nn

from recbole_sigma.model.base import LossTerms, NextItemRecommender


class AdditiveScores(NextItemRecommender):
    """The score of v is the sum of ``given[x, v]`` over the items x of the history, each as often as it comes."""

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.given = nn.Parameter(torch.zeros(self.n_items, self.n_items))
        self.register_buffer("one_hot", torch.eye(self.n_items))

    @property
    def item_vectors(self):
        return self.one_hot

    def encode_users(self, items, packing):
        return packing.segment_sums(self.given[items]).unsqueeze(1)

    def loss_terms(self, batch):
        users = batch.select(batch.packing.prefix_sums(self.given[batch.items]))
        return LossTerms({"ce": self.item_loss(users, self.item_vectors[1:], batch.target)}, len(batch.target))
