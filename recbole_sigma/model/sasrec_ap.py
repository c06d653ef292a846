"""SASRecAP: self-attentive sequential recommendation (Kang & McAuley, ICDM 2018), trained on all positions."""

from __future__ import annotations

from torch import Tensor

from recbole_sigma import precision
from recbole_sigma.layers.packing import Packing
from recbole_sigma.model.base import NextItemRecommender


class SASRecAP(NextItemRecommender):
    """SIGMA's deterministic part, as a baseline at equal training: one causal Transformer and a softmax over items.

    It has the input, blocks, loss and batches of SIGMA's sequence encoder. The original has absolute positions, other
    blocks (layer norm first, ReLU) and a binary loss with one negative; RecBole's SASRec has one target a row.
    """

    properties = "SASRecAP"

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.embed = self.sequence_input(config)
        self.encoder = self.causal_transformer(config)
        self.init_weights(config["initializer_range"])

    def encode(self, items: Tensor, packing: Packing) -> Tensor:
        """State after every item: item vectors ``[M, D]`` -> ``[M, D]``."""
        return self.encoder(self.embed(items, packing), packing)

    def encode_users(self, items: Tensor, packing: Packing) -> Tensor:
        return self.encode(self.item_embedding(items), packing)[packing.last].unsqueeze(1) / self.temperature

    def calculate_loss(self, interaction, num_targets: float | None = None) -> Tensor:
        """Cross-entropy of the next items over the catalog.

        Args:
            num_targets: what the sum over targets is divided by, so that every target of an epoch weighs the same;
                by default the number of targets in this batch.

        Returns:
            A scalar in nats.
        """
        batch = self.training_batch(interaction)
        items = self.item_embedding(batch.items)
        with precision.autocast_if_large(items):
            users = batch.select(self.encode(items, batch.packing))
        loss = self.item_loss(users, self.item_vectors[1:], batch.target, self.temperature, self.loss)
        return loss / (num_targets or len(batch.target))
