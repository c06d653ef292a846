"""What models have in common that train on every position and score items by vectors of the user."""

from __future__ import annotations

from abc import abstractmethod

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_sigma import losses
from recbole_sigma.defaults import fill_defaults
from recbole_sigma.errors import ConfigError
from recbole_sigma.layers.attention import CausalTransformer
from recbole_sigma.layers.packing import Packing, TrainingBatch, pack
from recbole_sigma.layers.sequence_input import SequenceInput
from recbole_sigma.ops import interest_cross_entropy, sampled_interest_cross_entropy
from recbole_sigma.rules import at_least, check_settings, interval, is_bool, more_than, one_of


class NextItemRecommender(SequentialRecommender):
    """A sequential model whose loss has a target at every position.

    Shapes: ``B`` sequences, ``T`` positions, ``M`` items and ``N`` targets of a batch, ``K`` user vectors, ``D`` hidden
    size, ``V`` items with index 0 as padding.

    It trains on batches of three kinds: the plugin's ``TrainingBatch``, without padding; an Interaction in which the
    field of the item id holds the next item of every position ``[B, T]`` (0 where there is none); and RecBole's, in
    which it holds the one that follows the whole sequence ``[B]``. RecBole's sampled negatives, if there are any, are
    left out.

    Attributes:
        properties: name of the file in properties/model/ with the defaults of a class and of those derived from it.
        settings: rules for their values.
    """

    input_type = InputType.POINTWISE
    properties: str
    settings = {
        "hidden_size": at_least(1),
        "inner_size": at_least(1),
        "n_layers": at_least(1),
        "n_heads": at_least(1),
        "history_average": at_least(0),
        "num_negatives": at_least(1),
        "item_dropout_prob": interval("[0, 1)"),
        "hidden_dropout_prob": interval("[0, 1)"),
        "attn_dropout_prob": interval("[0, 1)"),
        "initializer_range": more_than(0),
        "temperature": more_than(0),
        "position": one_of("relative", "rotary", "absolute"),
        "loss": one_of("full", "sampled"),
        "normalize_items": is_bool,
    }

    @classmethod
    def check_combination(cls, config) -> None:
        """Raise ConfigError for settings that are right one by one but not together."""
        hidden_size, n_heads = config["hidden_size"], config["n_heads"]
        if hidden_size % n_heads:
            raise ConfigError(f"hidden_size is {hidden_size}; expected a multiple of n_heads = {n_heads}")
        if config["position"] == "rotary" and hidden_size // n_heads % 2:
            raise ConfigError(
                f"position is rotary with {hidden_size // n_heads} features a head; expected an even number: "
                "change hidden_size or n_heads"
            )
        if config["history_average"] and hidden_size % config["history_average"]:
            raise ConfigError(
                f"history_average is {config['history_average']}; expected 0 for none, or groups that divide "
                f"hidden_size = {hidden_size}"
            )
        if config["transform"] is not None:
            raise ConfigError(
                f"transform is {config['transform']!r}; expected nothing (~): sequences are trained on as they are"
            )

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        fill_defaults(config, self.properties)
        check_settings(self.settings, config)
        self.check_combination(config)
        self.label_field = config["LABEL_FIELD"]
        self.temperature, self.normalize_items = config["temperature"], config["normalize_items"]
        self.loss, self.num_negatives = config["loss"], config["num_negatives"]
        self.item_embedding = nn.Embedding(self.n_items, config["hidden_size"], padding_idx=0)

    def sequence_input(self, config) -> SequenceInput:
        return SequenceInput(
            config["hidden_size"],
            config["hidden_dropout_prob"],
            config["item_dropout_prob"],
            config["position"],
            self.max_seq_length,
            config["history_average"],
        )

    def causal_transformer(self, config) -> CausalTransformer:
        return CausalTransformer(
            config["n_layers"],
            hidden_size=config["hidden_size"],
            n_heads=config["n_heads"],
            inner_size=config["inner_size"],
            hidden_dropout=config["hidden_dropout_prob"],
            attn_dropout=config["attn_dropout_prob"],
            position=config["position"],
            max_length=self.max_seq_length,
        )

    def init_weights(self, initializer_range: float) -> None:
        """Normal weights of linear layers and embeddings, zero biases, and a zero vector for the padding."""
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=initializer_range)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.item_embedding.weight[0].zero_()

    def compile_layers(self) -> None:
        """Compile the layers of linear maps in a row that run as a whole, in place and for any number of rows."""
        for module in self.modules():
            if isinstance(module, nn.Sequential):
                module.compile(dynamic=True)

    @property
    def item_vectors(self) -> Tensor:
        """Vectors ``[V, D]`` that score the items; row 0 is the padding."""
        weight = self.item_embedding.weight
        return nn.functional.normalize(weight, dim=-1) if self.normalize_items else weight

    @abstractmethod
    def encode_users(self, items: Tensor, packing: Packing) -> Tensor:
        """User vectors ``[B, K, D]`` after the last item of sequences ``[M]``, divided by the temperature.

        The score of an item is the largest of their products with its vector.
        """

    def user_vectors(self, interaction) -> Tensor:
        """User vectors ``[B, K, D]`` of rows to evaluate; see ``encode_users``."""
        return self.encode_users(*pack(interaction[self.ITEM_SEQ]))

    def predict(self, interaction) -> Tensor:
        """Scores ``[B]`` of the item of each row after its sequence."""
        items = self.item_vectors[interaction[self.ITEM_ID]]
        return (self.user_vectors(interaction) @ items.unsqueeze(-1)).squeeze(-1).amax(1)

    def full_sort_predict(self, interaction) -> Tensor:
        """Scores ``[B, V]`` of every item after each sequence; column 0 is the padding."""
        return losses.interest_scores(self.user_vectors(interaction), self.item_vectors)

    def item_loss(self, users: Tensor, catalog: Tensor, target: Tensor, temperature: float, loss: str) -> Tensor:
        """Cross-entropy of the targets, summed, over the whole catalog or a sample of it.

        Args:
            users: ``[N, K, D]``, or ``[N, D]`` for one vector each.
            catalog: item vectors without the padding, ``[V - 1, D]``.
            target: item ids ``[N]``.
            loss: "full" or "sampled".
        """
        if loss == "full":
            return interest_cross_entropy(users, catalog, target - 1, temperature=temperature).sum()
        return sampled_interest_cross_entropy(
            users, catalog, target - 1, num_samples=self.num_negatives, temperature=temperature
        ).sum()

    def training_batch(self, batch) -> TrainingBatch:
        """A batch of any of the three kinds, without padding."""
        if isinstance(batch, TrainingBatch):
            return batch
        item_seq, target = batch[self.ITEM_SEQ], batch[self.ITEM_ID]
        if target.dim() == 1:
            last = batch[self.ITEM_SEQ_LEN].unsqueeze(1) - 1
            if self.label_field in batch:
                target = target * (batch[self.label_field] > 0)
            target = torch.zeros_like(item_seq).scatter(1, last, target.unsqueeze(1))
        items, packing = pack(item_seq)
        next_item = target[item_seq != 0]  # [M], 0 where there is no target
        at_target = next_item.nonzero().squeeze(1)
        return TrainingBatch(items, packing, next_item[at_target], at_target)
