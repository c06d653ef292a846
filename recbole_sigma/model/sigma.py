"""SIGMA: Semantic Gaussian Mixture Variational Autoencoder for Sequential Recommendation (Li et al., DASFAA 2025).

Two VAEs learn side by side. MIE-VAE draws a Gaussian for each of the user's interests from implicit item
categories; SGM-VAE encodes the sequence into a Gaussian posterior whose prior is the mixture of these interests.
"""

from __future__ import annotations

from torch import Tensor, nn

from recbole_sigma import losses
from recbole_sigma.errors import ConfigError
from recbole_sigma.layers import gaussian, transformer
from recbole_sigma.layers.gelu import GELU
from recbole_sigma.layers.interest_context import InterestContext
from recbole_sigma.layers.interests import InterestEncoder, Interests
from recbole_sigma.layers.packing import Packing, TrainingBatch
from recbole_sigma.model.base import LossTerms, NextItemRecommender, WarmUp
from recbole_sigma.rules import at_least, is_bool, more_than, number, one_of


class SIGMA(NextItemRecommender):
    """The complete model.

    The loss has the terms "sequence/ce" (13)-(14) and "sequence/kl" (12) of SGM-VAE, "interests/ce" (8)-(9) and
    "interests/kl" (7) of MIE-VAE, and "orthogonality" (4).

    Shapes: ``B`` sequences, ``M`` items and ``N`` targets of a batch, ``K`` interests, ``D`` hidden size, ``V`` items
    with index 0 as padding.
    """

    properties = "SIGMA"
    rules = {
        **NextItemRecommender.rules,
        **transformer.RULES,
        "normalize_items": is_bool,
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
        transformer.check_combination(config)
        if config["prior"] == "standard" and config["scorer"] == "interests":
            raise ConfigError("prior is standard, which has no interests; expected scorer: sequence")

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.scorer, self.prior = config["scorer"], config["prior"]
        self.normalize_items = config["normalize_items"]
        self.interest_temperature, self.mie_loss = config["interest_temperature"], config["mie_loss"]
        self.orth_loss, self.detach_prior = config["orth_loss"], config["detach_prior"]
        self.num_interests = config["num_categories"] if self.prior == "mixture" or self.scorer == "interests" else 0
        if self.scorer == "sequence":
            self.loss_weights["sequence/kl"] = WarmUp(config["kl_weight"], config["kl_anneal_steps"])  # lambda
        if self.num_interests:
            self.loss_weights["interests"] = config["mie_weight"] if self.scorer == "sequence" else 1.0  # beta_1
            self.loss_weights["interests/kl"] = config["mie_kl_weight"]
            self.loss_weights["orthogonality"] = config["orth_weight"]  # beta_2
        hidden_size, log_var_bias = config["hidden_size"], config["log_var_bias"]

        if self.scorer == "sequence":
            self.embed = transformer.sequence_input(config, self.max_seq_length)
            self.mean_encoder = transformer.causal_transformer(config, self.max_seq_length)
            self.log_var_encoder = transformer.causal_transformer(config, self.max_seq_length)
            # A bias of 0 is the plain reading of the paper: the output of the encoder, without a head.
            self.log_var_head = nn.Linear(hidden_size, hidden_size) if log_var_bias else nn.Identity()
            self.context = None
            if self.num_interests and config["decoder_context"] == "interests":
                self.context = InterestContext(hidden_size, config["hidden_dropout_prob"])
            self.decoder = transformer.causal_transformer(config, self.max_seq_length)
        if self.num_interests:
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
        self.init_weights(config["initializer_range"])
        if self.scorer == "sequence" and log_var_bias:
            nn.init.constant_(self.log_var_head.bias, log_var_bias)

    @property
    def interests_role(self) -> str:
        """What the interests have to do with the scores; see ``NextItemRecommender``."""
        if self.scorer == "interests":
            return "score"
        return "description" if self.context is None else "context"

    def posterior(self, items: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z (11) after every item: item vectors ``[M, D]`` -> ``[M, D]`` twice."""
        embedding = self.embed(items, packing)
        mean = self.mean_encoder(embedding, packing)
        return mean, self.log_var_head(self.log_var_encoder(embedding, packing)).to(mean.dtype)

    def decode(self, z: Tensor, interests: tuple[Tensor, Tensor] | None, packing: Packing) -> Tensor:
        """User vectors u_hat ``[M, D]`` from z ``[M, D]`` and, where the decoder reads them, from the interests.

        Args:
            z: ``[M, D]``.
            interests: mean ``[M, K, D]`` and intensity ``[M, K]``; not read without ``decoder_context: interests``.
            packing: of the M items.
        """
        return self.decoder(z if self.context is None else self.context(z, *interests), packing)

    def loss_terms(self, batch: TrainingBatch) -> LossTerms:
        items, catalog = self.item_embedding(batch.items), self.item_vectors[1:]
        interests = prior = None
        sums, values = {}, {}
        if self.num_interests:
            interests = self.interest_encoder.mean_and_intensity(items, batch.packing)
            prior = self._prior_at_targets(*interests, batch)
            interest_users = self.interest_decoder(gaussian.sample(prior.mean, prior.log_var))
        if self.scorer == "sequence":
            mean, log_var = self.posterior(items, batch.packing)
            z = gaussian.sample(mean, log_var)
            sequence_users = batch.select(self.decode(z, interests, batch.packing))

        if self.num_interests:
            sums["interests/ce"] = self.item_loss(
                interest_users, catalog, batch.target, self.interest_temperature, self.mie_loss
            )  # (8), (9)
            sums["interests/kl"] = losses.gaussian_kl(prior.mean, prior.log_var).sum()  # (7)
            values["orthogonality"] = losses.orthogonality(self.interest_encoder.categories, self.orth_loss)  # (4)
        if self.scorer == "sequence":
            sums["sequence/ce"] = self.item_loss(sequence_users, catalog, batch.target)  # (13), (14)
            sums["sequence/kl"] = self._sequence_kl(*map(batch.select, (z, mean, log_var)), prior).sum()
        return LossTerms(sums, len(batch.target), values)

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

    def encode_users(self, items: Tensor, packing: Packing) -> Tensor:
        """User vectors from the means of the Gaussians, without noise (section 3.4); K = 1 for ``scorer: sequence``."""
        vectors = self.item_embedding(items)
        if self.scorer == "interests":
            mean, _ = self.interest_encoder.mean_and_intensity(vectors, packing)
            return self.interest_decoder(mean[packing.last]) / self.interest_temperature
        interests = None if self.context is None else self.interest_encoder.mean_and_intensity(vectors, packing)
        mean = self.mean_encoder(self.embed(vectors, packing), packing)
        return self.decode(mean, interests, packing)[packing.last].unsqueeze(1) / self.temperature

    def interests(self, items: Tensor, packing: Packing) -> Tensor:
        """Decoded means of the interests ``[M, K, D]`` after every item; (9) takes their products with items."""
        mean, _ = self.interest_encoder.mean_and_intensity(self.item_embedding(items), packing)
        return self.interest_decoder(mean)

    def weights(self, items: Tensor, packing: Packing) -> Tensor:
        """Probabilities a ``[M, K]`` of each item's categories; their mean over a history is the intensity alpha.

        With ``mixture_mask``, 0 for categories that no item of the history was assigned to; the intensity is then the
        mean divided by its sum.
        """
        return self.interest_encoder.weights(self.item_embedding(items), packing)

    def spread(self, items: Tensor, packing: Packing) -> Tensor:
        """Standard deviation ``[B, K]`` (6) of the interests after the last item: the root of their mean variance."""
        mean, _ = self.interest_encoder.mean_and_intensity(self.item_embedding(items), packing)
        return self.interest_encoder.log_var(mean[packing.last]).exp().mean(-1).sqrt()

    def category_similarity(self) -> Tensor:
        """Cosine of each item and each category, ``[V, K]``; row 0 is the padding."""
        encoder = self.interest_encoder
        return encoder.category_logits(self.item_embedding.weight) * encoder.category_temperature
