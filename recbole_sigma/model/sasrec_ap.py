"""SASRecAP: self-attentive sequential recommendation (Kang & McAuley, ICDM 2018), trained on all positions."""

from __future__ import annotations

from torch import Tensor

from recbole_sigma.layers import transformer
from recbole_sigma.layers.packing import Packing, TrainingBatch
from recbole_sigma.model.base import LossTerms, NextItemRecommender
from recbole_sigma.rules import is_bool


class SASRecAP(NextItemRecommender):
    """SIGMA's deterministic part, as a baseline with equal training: one causal Transformer and a softmax over items.

    It has the input, blocks, loss and batches of SIGMA's sequence encoder. The original has absolute positions, other
    blocks (layer norm first, ReLU) and a binary loss with one negative; RecBole's SASRec has one target per row.
    """

    properties = "SASRecAP"
    rules = {**NextItemRecommender.rules, **transformer.RULES, "normalize_items": is_bool}

    @classmethod
    def check_combination(cls, config) -> None:
        super().check_combination(config)
        transformer.check_combination(config)

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.normalize_items = config["normalize_items"]
        self.embed = transformer.sequence_input(config, self.max_seq_length)
        self.encoder = transformer.causal_transformer(config, self.max_seq_length)
        self.init_weights(config["initializer_range"])

    def encode(self, items: Tensor, packing: Packing) -> Tensor:
        """State after every item: ids ``[M]`` -> ``[M, D]``."""
        return self.encoder(self.embed(self.item_embedding(items), packing), packing)

    def encode_users(self, items: Tensor, packing: Packing) -> Tensor:
        return self.encode(items, packing)[packing.last].unsqueeze(1) / self.temperature

    def loss_terms(self, batch: TrainingBatch) -> LossTerms:
        users = batch.select(self.encode(batch.items, batch.packing))
        return LossTerms({"ce": self.item_loss(users, self.item_vectors[1:], batch.target)}, len(batch.target))
