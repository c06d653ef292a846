"""Adapter for models that derive from ``AllPositionRecommender``, the old name of ``NextItemRecommender``."""

from __future__ import annotations

from recbole_sigma.deprecation import warn_once
from recbole_sigma.errors import ConfigError
from recbole_sigma.layers import transformer
from recbole_sigma.layers.transformer import CausalTransformer, SequenceInput
from recbole_sigma.model.base import NextItemRecommender, StepLoss
from recbole_sigma.precision import autocast
from recbole_sigma.rules import is_bool


class AllPositionRecommender(NextItemRecommender):
    """The old base class: models have the settings of a Transformer, and ``calculate_loss`` divides their loss."""

    rules = settings = {**NextItemRecommender.rules, **transformer.RULES, "normalize_items": is_bool}
    encode_users = loss_terms = None  # not required of these models

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        warn_once(
            "recbole_sigma.model.all_position.AllPositionRecommender",
            "recbole_sigma.model.base.NextItemRecommender, with another contract (docs/new-model.md)",
        )
        cls.rules = cls.settings
        if cls.calculate_loss is NextItemRecommender.calculate_loss:
            raise ConfigError(
                f"{cls.__name__} derives from AllPositionRecommender and has no calculate_loss; expected a model that "
                "derives from NextItemRecommender, as docs/new-model.md shows"
            )

    @classmethod
    def check_combination(cls, config) -> None:
        super().check_combination(config)
        transformer.check_combination(config)

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.normalize_items = config["normalize_items"]

    def sequence_input(self, config) -> SequenceInput:
        return transformer.sequence_input(config, self.max_seq_length)

    def causal_transformer(self, config) -> CausalTransformer:
        return transformer.causal_transformer(config, self.max_seq_length)

    def step_loss(self, interaction, num_targets: float | None = None) -> StepLoss:
        batch = self.training_batch(interaction)
        with autocast(self.precision, batch.items.device):
            return StepLoss(self.calculate_loss(batch, num_targets))
