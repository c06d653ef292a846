"""SIGMA: Semantic Gaussian Mixture Variational Autoencoder for Sequential Recommendation (Li et al., DASFAA 2025).

Two VAEs learn side by side. MIE-VAE draws a Gaussian for each of the user's interests from implicit item
categories; SGM-VAE encodes the sequence into a Gaussian posterior whose prior is the mixture of these interests.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recbole_sigma import losses, precision
from recbole_sigma.errors import ConfigError
from recbole_sigma.layers import gaussian
from recbole_sigma.layers.gelu import GELU
from recbole_sigma.layers.interest_context import InterestContext
from recbole_sigma.layers.interests import InterestEncoder, Interests
from recbole_sigma.layers.packing import Packing, TrainingBatch
from recbole_sigma.model.base import NextItemRecommender
from recbole_sigma.rules import at_least, is_bool, more_than, number, one_of


class LossTerms(NamedTuple):
    """Parts of the loss (section 3.4). All but ``orthogonality`` are sums over the target positions."""

    sequence_ce: Tensor | float
    sequence_kl: Tensor | float
    interest_ce: Tensor | float
    interest_kl: Tensor | float
    orthogonality: Tensor | float
    num_targets: int


class SIGMA(NextItemRecommender):
    """The complete model.

    Shapes: ``B`` sequences, ``M`` items and ``N`` targets of a batch, ``K`` interests, ``D`` hidden size, ``V`` items
    with index 0 as padding.
    """

    properties = "SIGMA"
    settings = {
        **NextItemRecommender.settings,
        "num_categories": at_least(1),
        "category_temperature": more_than(0),
        "interest_temperature": more_than(0),
        "kl_weight": at_least(0.0),
        "kl_anneal_steps": at_least(0),
        "mie_weight": at_least(0.0),
        "mie_kl_weight": at_least(0.0),
        "orth_weight": at_least(0.0),
        "log_var_bias": number,
        "prior": one_of("mixture", "standard"),
        "decoder_context": one_of("interests", "none"),
        "scorer": one_of("sequence", "interests"),
        "orth_loss": one_of("squared", "linear"),
        "interest": one_of("both", "soft", "hard"),
        "soft_interest": one_of("sum", "mean"),
        "mie_loss": one_of("full", "sampled"),
        "mixture_mask": is_bool,
        "detach_prior": is_bool,
    }

    @classmethod
    def check_combination(cls, config) -> None:
        super().check_combination(config)
        if config["prior"] == "standard" and config["scorer"] == "interests":
            raise ConfigError("prior is standard, which has no interests; expected scorer: sequence")

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.scorer, self.prior = config["scorer"], config["prior"]
        self.interest_temperature = config["interest_temperature"]
        self.kl_weight, self.kl_anneal_steps = config["kl_weight"], config["kl_anneal_steps"]
        self.mie_weight, self.mie_kl_weight = config["mie_weight"], config["mie_kl_weight"]
        self.orth_weight, self.orth_loss = config["orth_weight"], config["orth_loss"]
        self.mie_loss, self.detach_prior = config["mie_loss"], config["detach_prior"]
        hidden_size, log_var_bias = config["hidden_size"], config["log_var_bias"]

        if self.scorer == "sequence":
            self.embed = self.sequence_input(config)
            self.mean_encoder = self.causal_transformer(config)
            self.log_var_encoder = self.causal_transformer(config)
            # A bias of 0 is the plain reading of the paper: the output of the encoder, without a head.
            self.log_var_head = nn.Linear(hidden_size, hidden_size) if log_var_bias else nn.Identity()
            self.context = None
            if self.has_interests and config["decoder_context"] == "interests":
                self.context = InterestContext(hidden_size, config["hidden_dropout_prob"])
            self.decoder = self.causal_transformer(config)
        if self.has_interests:
            self.interest_encoder = InterestEncoder(
                hidden_size,
                config["num_categories"],
                config["category_temperature"],
                config["soft_interest"],
                config["mixture_mask"],
                config["interest"],
            )
            self.interest_decoder = nn.Sequential(
                nn.Linear(hidden_size, hidden_size), GELU(), nn.Linear(hidden_size, hidden_size)
            )
        self.register_buffer("step", torch.zeros((), dtype=torch.long))  # of the warm-up of kl_weight
        self.init_weights(config["initializer_range"])
        if self.scorer == "sequence" and log_var_bias:
            nn.init.constant_(self.log_var_head.bias, log_var_bias)

    @property
    def has_interests(self) -> bool:
        return self.prior == "mixture" or self.scorer == "interests"

    def posterior(self, items: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z (11) after every item: item vectors ``[M, D]`` -> ``[M, D]`` twice."""
        embedding = self.embed(items, packing)
        mean = self.mean_encoder(embedding, packing)
        return mean, self.log_var_head(self.log_var_encoder(embedding, packing)).to(mean.dtype)

    def decode(self, z: Tensor, interests: tuple[Tensor, Tensor] | None, packing: Packing) -> Tensor:
        """User vectors u_hat ``[M, D]`` from z ``[M, D]`` and, if it is set so, mean and intensity of the interests."""
        return self.decoder(z if self.context is None else self.context(z, *interests), packing)

    def loss_terms(self, interaction) -> LossTerms:
        """The parts of the loss of a batch, summed over its targets."""
        batch = self.training_batch(interaction)
        items, catalog = self.item_embedding(batch.items), self.item_vectors[1:]
        interests = prior = None
        with precision.autocast_if_large(items):
            if self.has_interests:
                interests = self.interest_encoder.mean_and_intensity(items, batch.packing)
                prior = self._prior_at_targets(*interests, batch)
                interest_users = self.interest_decoder(gaussian.sample(prior.mean, prior.log_var))
            if self.scorer == "sequence":
                mean, log_var = self.posterior(items, batch.packing)
                z = gaussian.sample(mean, log_var)
                sequence_users = batch.select(self.decode(z, interests, batch.packing))

        sequence_ce = sequence_kl = interest_ce = interest_kl = orthogonality = 0.0
        if self.has_interests:
            interest_ce = self.item_loss(
                interest_users, catalog, batch.target, self.interest_temperature, self.mie_loss
            )  # (8), (9)
            with precision.no_autocast(items):
                interest_kl = losses.gaussian_kl(prior.mean, prior.log_var).sum()  # (7)
                orthogonality = losses.orthogonality(self.interest_encoder.categories, self.orth_loss)  # (4)
        if self.scorer == "sequence":
            sequence_ce = self.item_loss(
                sequence_users, catalog, batch.target, self.temperature, self.loss
            )  # (13), (14)
            with precision.no_autocast(items):
                sequence_kl = self._sequence_kl(*(batch.select(part) for part in (z, mean, log_var)), prior).sum()

        return LossTerms(sequence_ce, sequence_kl, interest_ce, interest_kl, orthogonality, len(batch.target))

    def _prior_at_targets(self, mean: Tensor, intensity: Tensor, batch: TrainingBatch) -> Interests:
        """The interests after the items that have a target: ``[N, K, D]`` and ``[N, K]``."""
        mean, intensity = batch.select(mean), batch.select(intensity)
        return Interests(mean, self.interest_encoder.log_var(mean), intensity)

    def _sequence_kl(self, z: Tensor, mean: Tensor, log_var: Tensor, prior: Interests | None) -> Tensor:
        if prior is None:
            return losses.gaussian_kl(mean, log_var)
        if self.detach_prior:
            prior = Interests(*(part.detach() for part in prior))
        return losses.mixture_kl(z, mean, log_var, prior.intensity, prior.mean, prior.log_var)  # (12)

    def calculate_loss(self, interaction, num_targets: float | None = None) -> Tensor:
        """Training loss (section 3.4) of a batch.

        Args:
            num_targets: what the sums over targets are divided by, so that every target of an epoch weighs the
                same; by default the number of targets in this batch.

        Returns:
            A scalar in nats.
        """
        terms = self.loss_terms(interaction)
        kl_weight = self.kl_weight
        if self.training and self.kl_anneal_steps:
            self.step += 1
            kl_weight = kl_weight * (self.step / self.kl_anneal_steps).clamp(max=1)
        sequence = terms.sequence_ce + kl_weight * terms.sequence_kl
        interest = terms.interest_ce + self.mie_kl_weight * terms.interest_kl
        mie_weight = self.mie_weight if self.scorer == "sequence" else 1.0
        total = (sequence + mie_weight * interest) / (num_targets or terms.num_targets)
        return total + self.orth_weight * terms.orthogonality

    def encode_users(self, items: Tensor, packing: Packing) -> Tensor:
        """From the means (3.4), without noise; K = 1 for ``scorer: sequence``."""
        vectors = self.item_embedding(items)
        if self.scorer == "interests":
            mean, _ = self.interest_encoder.mean_and_intensity(vectors, packing)
            return self.interest_decoder(mean[packing.last]) / self.interest_temperature
        interests = None if self.context is None else self.interest_encoder.mean_and_intensity(vectors, packing)
        mean = self.mean_encoder(self.embed(vectors, packing), packing)
        return self.decode(mean, interests, packing)[packing.last].unsqueeze(1) / self.temperature
