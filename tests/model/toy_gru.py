"""The first model of docs/new-model.md."""

from torch import nn

from recbole_sigma.model.base import LossTerms, NextItemRecommender


class GRUAP(NextItemRecommender):
    """A GRU over the items, trained on all positions."""

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.gru = nn.GRU(config["hidden_size"], config["hidden_size"])
        self.init_weights(config["initializer_range"])

    def encode(self, items, packing):  # item ids [M] -> state after each item [M, D]
        return packing.recurrent(self.gru, self.item_embedding(items))

    def encode_users(self, items, packing):  # item ids [M] -> user vectors [B, K, D], here K = 1
        return self.encode(items, packing)[packing.last].unsqueeze(1) / self.temperature

    def loss_terms(self, batch):
        users = batch.select(self.encode(batch.items, batch.packing))
        return LossTerms({"ce": self.item_loss(users, self.item_vectors[1:], batch.target)}, len(batch.target))
