"""Base class of the plugin's next-item models: what a model has to define, and what it gets for that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import NamedTuple

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_sigma import losses
from recbole_sigma.defaults import fill_defaults, next_item_defaults
from recbole_sigma.errors import ConfigError
from recbole_sigma.layers.packing import Packing, TrainingBatch, pack
from recbole_sigma.ops import interest_cross_entropy, sampled_interest_cross_entropy
from recbole_sigma.precision import autocast, autocast_if_large
from recbole_sigma.rules import Rule, at_least, check_settings, more_than, one_of


class LossTerms(NamedTuple):
    """The terms of a training loss, each by its name.

    A name is one word, or two with a slash: "interests/kl" is a term of the part "interests". Every batch has the same
    names.

    Attributes:
        sums: sums over the targets, in nats.
        num_targets: N.
        values: terms that are no sum over targets.
    """

    sums: Mapping[str, Tensor]
    num_targets: int
    values: Mapping[str, Tensor] = MappingProxyType({})


class WarmUp(NamedTuple):
    """A weight that grows linearly over the first training steps; 0 steps for a constant."""

    weight: float
    steps: int

    def at(self, step: Tensor) -> Tensor | float:
        """The weight at a training step, counted from 1."""
        return self.weight * (step / self.steps).clamp(max=1) if self.steps else self.weight


class StepLoss(NamedTuple):
    """The loss of a training step.

    Its terms are detached scalars by name, without their weights.

    Attributes:
        total: scalar to minimise.
        sums: sums over the targets, divided by the number of targets, in nats per target.
        values: terms that are no sum over targets, which have no unit.
    """

    total: Tensor
    sums: Mapping[str, Tensor] = MappingProxyType({})
    values: Mapping[str, Tensor] = MappingProxyType({})

    @property
    def terms(self) -> dict[str, Tensor]:
        """Sums and values."""
        return {**self.sums, **self.values}


class NextItemRecommender(SequentialRecommender, ABC):
    """A sequential model that is trained to predict the next item of every position.

    A model implements ``encode_users`` and ``loss_terms``. It neither divides its loss by a number of targets, nor
    casts, nor warms weights up, nor logs: this class does so for all models.

    Shapes: ``B`` sequences, ``T`` positions, ``M`` items and ``N`` targets of a batch, ``K`` user vectors, ``D`` hidden
    size, ``E`` size of user vectors, ``V`` items with index 0 as padding.

    It trains on batches of three kinds: the plugin's ``TrainingBatch``, without padding; an Interaction in which the
    field of the item id holds the next item of every position ``[B, T]`` (0 where there is none); and RecBole's, in
    which it holds the item that follows the whole sequence ``[B]``. RecBole's sampled negatives are ignored.

    Attributes:
        properties: name of the file in properties/model/ with the defaults of the class and its subclasses, if any;
            those in properties/next_item.yaml are for all models.
        rules: what the values of the model's settings may be.
        reads_times: whether the model reads ``batch.fields["times"]``, the time of each item.
        reads_users: whether the model reads ``batch.fields["users"]``, the user of each sequence. What a model reads is
            also given by name to its ``encode_users``, ``interests``, ``weights`` and ``spread``.
        needs_categories: whether the model needs ``dataset.item_categories``, from the column ``category_field``.
        num_interests: number of interests that the model can explain a user by; 0 for none. A model that has some
            answers ``interests`` and ``weights``, as ``MultiInterestRecommender`` describes them.
        interests_role: what the interests have to do with the scores: "score" if they score the items, "context" if
            what scores reads them, "description" if they have no part in the scores.
        no_vectors: why the score of an item is not the largest product of its vector with those of the user; None if it
            is. Without it, a model cannot be searched by an index or exported.
        loss_weights: weight of each term of the loss, or of each part with several terms, by name; 1 by default.
    """

    input_type = InputType.POINTWISE
    properties: str | None = None
    rules: dict[str, Rule] = {
        "hidden_size": at_least(1),
        "initializer_range": more_than(0),
        "temperature": more_than(0),
        "loss": one_of("full", "sampled"),
        "num_negatives": at_least(1),
    }
    reads_times = reads_users = needs_categories = False
    num_interests = 0
    interests_role = "description"
    no_vectors: str | None = None
    normalize_items = False

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        if cls.calculate_loss is not NextItemRecommender.calculate_loss and (
            cls.step_loss is NextItemRecommender.step_loss
        ):
            raise ConfigError(
                f"{cls.__name__} overrides calculate_loss, which training does not call; expected loss_terms, as "
                "docs/new-model.md shows"
            )

    @classmethod
    def check_combination(cls, config) -> None:
        """Raise ConfigError for settings that are valid one by one but not together."""
        if config["transform"] is not None:
            raise ConfigError(
                f"transform is {config['transform']!r}; expected nothing (~): sequences are trained on as they are"
            )

    @classmethod
    def check(cls, config) -> None:
        """Raise ConfigError for settings that are invalid, alone or together."""
        check_settings(cls.rules, config)
        cls.check_combination(config)

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        if getattr(config, "checked_for", None) is not type(self):  # such as RecBole's own Config
            fill_defaults(config, next_item_defaults(self.properties))
            self.check(config)
        if self.needs_categories and not hasattr(dataset, "item_categories"):  # a data set of RecBole's own pipeline
            raise ConfigError(f"{type(self).__name__} needs the categories of items; expected run_recbole_sigma")
        self.label_field = config["LABEL_FIELD"]
        if self.reads_times:
            self.TIME_SEQ = config["TIME_FIELD"] + config["LIST_SUFFIX"]
        self.precision = config["precision"]
        self.temperature, self.loss = config["temperature"], config["loss"]
        self.num_negatives = config["num_negatives"]
        self.item_embedding = nn.Embedding(self.n_items, config["hidden_size"], padding_idx=0)
        self.loss_weights: dict[str, float | WarmUp] = {}
        self.register_buffer("step", torch.zeros((), dtype=torch.long))  # training steps, where a weight warms up

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        """Hook of PyTorch: checkpoints of earlier versions have no ``step`` for models without a warm-up."""
        state_dict.setdefault(f"{prefix}step", self.step)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def init_weights(self, initializer_range: float) -> None:
        """Draw normal weights of linear layers and embeddings; biases and the vector of the padding become zero."""
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=initializer_range)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.item_embedding.weight[0].zero_()

    def compile_layers(self) -> None:
        """Compile each ``nn.Sequential``, in place and for any number of rows."""
        for module in self.modules():
            if isinstance(module, nn.Sequential):
                module.compile(dynamic=True)

    # Scores ----------------------------------------------------------------------------------------------------

    @property
    def item_vectors(self) -> Tensor:
        """Vectors ``[V, E]`` that score the items; row 0 is the padding."""
        return self.scoring(self.item_embedding.weight)

    def scoring(self, items: Tensor) -> Tensor:
        """Item vectors ``[V, D]`` as they score: normalised, if the model normalises them."""
        return nn.functional.normalize(items, dim=-1) if self.normalize_items else items

    @abstractmethod
    def encode_users(self, items: Tensor, packing: Packing) -> Tensor:
        """User vectors ``[B, K, E]`` after the last item of sequences ``[M]``, divided by the temperature.

        The score of an item is the largest of their products with its vector.
        """

    def user_vectors(self, interaction) -> Tensor:
        """User vectors ``[B, K, E]`` of evaluation rows; see ``encode_users``."""
        return self.encode_users(*pack(interaction[self.ITEM_SEQ]), **self.read_fields(interaction))

    def mixture_weights(self, items: Tensor, packing: Packing, **fields: Tensor) -> Tensor | None:
        """Weights ``[B, K]`` after the last item, for models whose score is a mixture of the K softmaxes of a user.

        Such a model sets ``no_vectors``.
        """
        return None

    def predict(self, interaction) -> Tensor:
        """Scores ``[B]`` of the item of each row after its sequence."""
        if self.no_vectors is not None:
            return self.full_sort_predict(interaction).gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1)
        items = self.item_vectors[interaction[self.ITEM_ID]]
        return (self.user_vectors(interaction) @ items.unsqueeze(-1)).squeeze(-1).amax(1)

    def full_sort_predict(self, interaction) -> Tensor:
        """Scores ``[B, V]`` of every item after each sequence; column 0 is the padding.

        The scores of a mixture are logarithms of probabilities, -inf for the padding.
        """
        users, items = self.user_vectors(interaction), self.item_vectors
        if self.no_vectors is None:
            return losses.interest_scores(users, items)
        weights = self.mixture_weights(*pack(interaction[self.ITEM_SEQ]), **self.read_fields(interaction))
        return losses.mixture_scores(users, items, weights)

    def spread(self, items: Tensor, packing: Packing, **fields: Tensor) -> Tensor | None:
        """Standard deviation ``[B, K]`` of each interest after the last item, for models whose interests have one."""
        return None

    # Training --------------------------------------------------------------------------------------------------

    @abstractmethod
    def loss_terms(self, batch: TrainingBatch) -> LossTerms:
        """The terms of the loss of a batch, without weights and summed over its targets."""

    def item_loss(
        self,
        users: Tensor,
        catalog: Tensor,
        target: Tensor,
        temperature: float | None = None,
        loss: str | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Cross-entropy of the targets, summed, over the whole catalog or a sample of it if that is smaller.

        Args:
            users: ``[N, K, E]``, or ``[N, E]`` for one vector each.
            catalog: item vectors without the padding, ``[V - 1, E]``.
            target: item ids ``[N]``.
            temperature, loss: by default the model's own; ``loss`` is "full" or "sampled".
            weight: of each target in the sum, ``[N]``; by default 1.

        Returns:
            A scalar in nats.
        """
        options = {"temperature": self.temperature if temperature is None else temperature}
        operation = interest_cross_entropy
        if (loss or self.loss) == "sampled" and self.num_negatives < len(catalog):
            operation, options["num_samples"] = sampled_interest_cross_entropy, self.num_negatives
        with autocast(self.precision, users.device):
            losses_of_targets = operation(users, catalog, target - 1, **options)
        return losses_of_targets.sum() if weight is None else (weight * losses_of_targets).sum()

    def calculate_loss(self, interaction, num_targets: float | None = None) -> Tensor:
        """Training loss of a batch, a scalar; RecBole's name for ``step_loss(...).total``."""
        return self.step_loss(interaction, num_targets).total

    def step_loss(self, interaction, num_targets: float | None = None) -> StepLoss:
        """Training loss of a batch and its terms.

        Args:
            num_targets: what the sums over targets are divided by, so that every target of an epoch weighs the same;
                by default the number of targets in this batch.
        """
        batch = self.training_batch(interaction)
        layers = nullcontext() if self.precision is None else autocast_if_large(batch.items)
        with autocast(self.precision, batch.items.device), layers:
            terms = self.loss_terms(batch)
        self._check_weights(terms)
        if self.training and any(isinstance(weight, WarmUp) and weight.steps for weight in self.loss_weights.values()):
            self.step += 1
        num_targets = num_targets or terms.num_targets
        total = self._weighted(terms.sums) / num_targets + self._weighted(terms.values)
        sums = {name: value.detach() / num_targets for name, value in terms.sums.items()}
        return StepLoss(total, sums, {name: value.detach() for name, value in terms.values.items()})

    def _check_weights(self, terms: LossTerms) -> None:
        names = {*terms.sums, *terms.values}
        unused = self.loss_weights.keys() - names - {name.partition("/")[0] for name in names}
        if unused:
            raise ConfigError(
                f"loss_weights of {type(self).__name__} has {', '.join(sorted(unused))}; expected names of terms or of "
                f"their parts: {', '.join(sorted(names))}"
            )

    def _weighted(self, terms: Mapping[str, Tensor]) -> Tensor | float:
        """The weighted sum of terms: within each part first, then over the parts."""
        parts = defaultdict(float)
        for name, term in terms.items():
            part, slash, _ = name.partition("/")
            parts[part] += self._times_weight(name, term) if slash else term
        return sum(self._times_weight(part, term) for part, term in parts.items())

    def _times_weight(self, name: str, term: Tensor) -> Tensor:
        weight = self.loss_weights.get(name)
        if weight is None:
            return term
        if isinstance(weight, WarmUp):
            weight = weight.at(self.step) if self.training else weight.weight
        return weight * term

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
        return TrainingBatch(items, packing, next_item[at_target], at_target, self.read_fields(batch))

    def read_fields(self, interaction) -> dict[str, Tensor]:
        """What the model reads of RecBole's padded rows besides the items, as in ``TrainingBatch.fields``."""
        fields = {}
        if self.reads_times:
            fields["times"] = interaction[self.TIME_SEQ][interaction[self.ITEM_SEQ] != 0]
        if self.reads_users:
            fields["users"] = interaction[self.USER_ID]
        return fields
