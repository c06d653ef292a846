"""A model with several interests that says nothing about explanations, reports or indices."""

from __future__ import annotations

from torch import nn

from recbole_sigma.model.multi_interest import MultiInterestRecommender


class ToyInterests(MultiInterestRecommender):
    """Each interest is the mean of the items of the history, weighted by a softmax of scores of its own."""

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.attention = nn.Linear(config["hidden_size"], self.num_interests)
        self.init_weights(config["initializer_range"])

    def interests(self, items, packing):
        weights, vectors = self.weights(items, packing), self.item_embedding(items)
        sums = packing.prefix_sums(weights.unsqueeze(-1) * vectors.unsqueeze(1))  # [M, K, D]
        return sums / packing.prefix_sums(weights).unsqueeze(-1)

    def weights(self, items, packing):
        return self.attention(self.item_embedding(items)).exp()
