"""SIGMA: Semantic Gaussian Mixture Variational Autoencoder for Sequential Recommendation (Li et al., DASFAA 2025).

Two VAEs learn side by side. MIE-VAE draws a Gaussian for each of the user's interests from implicit item
categories; SGM-VAE encodes the sequence into a Gaussian posterior whose prior is the mixture of these interests.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_sigma import losses
from recbole_sigma.config import fill_defaults
from recbole_sigma.errors import ConfigError
from recbole_sigma.layers import gaussian
from recbole_sigma.layers.attention import CausalTransformer
from recbole_sigma.layers.interests import InterestEncoder, Interests
from recbole_sigma.ops import interest_cross_entropy, sampled_interest_cross_entropy
from recbole_sigma.settings import at_least, check_settings, interval, is_bool, more_than, number, one_of


class LossTerms(NamedTuple):
    """Parts of the loss (section 3.4). All but ``orthogonality`` are sums over the target positions."""

    sequence_ce: Tensor | float
    sequence_kl: Tensor | float
    interest_ce: Tensor | float
    interest_kl: Tensor | float
    orthogonality: Tensor | float
    num_targets: int


class SIGMA(SequentialRecommender):
    """The complete model.

    Shapes: ``B`` sequences, ``T`` positions, ``M`` of them with an item and ``N`` with a target, ``K`` interests,
    ``D`` hidden size, ``V`` items with index 0 as padding. Sequences are padded on the right.

    It trains on batches of two kinds: the plugin's, in which the field of the item id holds the next item of every
    position ``[B, T]`` (0 where there is none), and RecBole's, in which it holds the one that follows the whole
    sequence ``[B]``; RecBole's sampled negatives, if there are any, are left out.
    """

    input_type = InputType.POINTWISE

    settings = {
        "hidden_size": at_least(1),
        "inner_size": at_least(1),
        "n_layers": at_least(1),
        "n_heads": at_least(1),
        "num_categories": at_least(1),
        "num_negatives": at_least(1),
        "hidden_dropout_prob": interval("[0, 1)"),
        "attn_dropout_prob": interval("[0, 1)"),
        "initializer_range": more_than(0),
        "temperature": more_than(0),
        "category_temperature": more_than(0),
        "interest_temperature": more_than(0),
        "kl_weight": at_least(0.0),
        "kl_anneal_steps": at_least(0),
        "mie_weight": at_least(0.0),
        "mie_kl_weight": at_least(0.0),
        "orth_weight": at_least(0.0),
        "log_var_bias": number,
        "position": one_of("relative", "rotary", "absolute"),
        "prior": one_of("mixture", "standard"),
        "scorer": one_of("sequence", "interests"),
        "orth_loss": one_of("squared", "linear"),
        "soft_interest": one_of("sum", "mean"),
        "loss": one_of("full", "sampled"),
        "mie_loss": one_of("full", "sampled"),
        "mixture_mask": is_bool,
        "detach_prior": is_bool,
        "normalize_items": is_bool,
    }

    @staticmethod
    def check_combination(config) -> None:
        """Raise ConfigError for settings that are right one by one but not together."""
        hidden_size, n_heads = config["hidden_size"], config["n_heads"]
        if hidden_size % n_heads:
            raise ConfigError(f"hidden_size is {hidden_size}; expected a multiple of n_heads = {n_heads}")
        if config["position"] == "rotary" and hidden_size // n_heads % 2:
            raise ConfigError(
                f"position is rotary with {hidden_size // n_heads} features a head; expected an even number: "
                "change hidden_size or n_heads"
            )
        if config["transform"] is not None:
            raise ConfigError(
                f"transform is {config['transform']!r}; expected nothing (~): sequences are trained on as they are"
            )
        if config["prior"] == "standard" and config["scorer"] == "interests":
            raise ConfigError("prior is standard, which has no interests; expected scorer: sequence")

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        fill_defaults(config, "SIGMA")
        check_settings(self.settings, config)
        self.check_combination(config)
        self.label_field = config["LABEL_FIELD"]
        self.scorer, self.prior = config["scorer"], config["prior"]
        self.temperature = config["temperature"]
        self.interest_temperature = config["interest_temperature"]
        self.kl_weight, self.kl_anneal_steps = config["kl_weight"], config["kl_anneal_steps"]
        self.mie_weight, self.mie_kl_weight = config["mie_weight"], config["mie_kl_weight"]
        self.orth_weight, self.orth_loss = config["orth_weight"], config["orth_loss"]
        self.loss, self.mie_loss, self.num_negatives = config["loss"], config["mie_loss"], config["num_negatives"]
        self.detach_prior, self.normalize_items = config["detach_prior"], config["normalize_items"]
        hidden_size = config["hidden_size"]

        self.item_embedding = nn.Embedding(self.n_items, hidden_size, padding_idx=0)
        if self.scorer == "sequence":
            self._build_sequence_vae(config)
        if self.has_interests:
            self.interest_encoder = InterestEncoder(
                hidden_size,
                config["num_categories"],
                config["category_temperature"],
                config["soft_interest"],
                config["mixture_mask"],
            )
            self.interest_decoder = nn.Sequential(
                nn.Linear(hidden_size, hidden_size), nn.GELU(), nn.Linear(hidden_size, hidden_size)
            )
        self.register_buffer("step", torch.zeros((), dtype=torch.long))  # of the warm-up of kl_weight
        self._init_weights(config["initializer_range"], config["log_var_bias"])

    @property
    def has_interests(self) -> bool:
        return self.prior == "mixture" or self.scorer == "interests"

    def _build_sequence_vae(self, config) -> None:
        hidden_size = config["hidden_size"]
        encoder = {
            "n_layers": config["n_layers"],
            "hidden_size": hidden_size,
            "n_heads": config["n_heads"],
            "inner_size": config["inner_size"],
            "hidden_dropout": config["hidden_dropout_prob"],
            "attn_dropout": config["attn_dropout_prob"],
            "position": config["position"],
            "max_length": self.max_seq_length,
        }
        self.position_embedding = (
            nn.Embedding(self.max_seq_length, hidden_size) if config["position"] == "absolute" else None
        )
        self.embedding_norm = nn.LayerNorm(hidden_size)
        self.embedding_dropout = nn.Dropout(config["hidden_dropout_prob"])
        self.mean_encoder = CausalTransformer(**encoder)
        self.log_var_encoder = CausalTransformer(**encoder)
        # A bias of 0 is the plain reading of the paper: the output of the encoder, without a head.
        self.log_var_head = nn.Linear(hidden_size, hidden_size) if config["log_var_bias"] else nn.Identity()
        self.decoder = CausalTransformer(**encoder)

    def _init_weights(self, initializer_range: float, log_var_bias: float) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=initializer_range)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.item_embedding.weight[0].zero_()
            if self.scorer == "sequence" and log_var_bias:
                self.log_var_head.bias.fill_(log_var_bias)

    @property
    def item_vectors(self) -> Tensor:
        """Vectors ``[V, D]`` that score the items; row 0 is the padding."""
        weight = self.item_embedding.weight
        return nn.functional.normalize(weight, dim=-1) if self.normalize_items else weight

    def embed(self, item_seq: Tensor) -> Tensor:
        """Input of the encoders at every item: ``[B, T]`` -> ``[M, D]``."""
        mask = item_seq != 0
        embedding = self.item_embedding(item_seq[mask])
        if self.position_embedding is not None:
            embedding = embedding + self.position_embedding(mask.nonzero()[:, 1])
        return self.embedding_dropout(self.embedding_norm(embedding))

    def posterior(self, item_seq: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z after every item (11): ``[B, T]`` -> ``[M, D]`` twice."""
        embedding, mask = self.embed(item_seq), item_seq != 0
        return self.mean_encoder(embedding, mask), self.log_var_head(self.log_var_encoder(embedding, mask))

    def interests(self, item_seq: Tensor) -> Interests:
        """Gaussians of the interests after every item: ``[B, T]`` -> ``[M, K, D]`` and ``[M, K]``."""
        mask = item_seq != 0
        return self.interest_encoder(self.item_embedding(item_seq[mask]), mask)

    def _interests_at(self, at_target: Tensor, item_seq: Tensor) -> Interests:
        """The interests after the items ``[M]`` that have a target: ``[N, K, D]`` and ``[N, K]``."""
        mask = item_seq != 0
        parts = self.interest_encoder.mean_and_intensity(self.item_embedding(item_seq[mask]), mask)
        mean, intensity = (part[at_target] for part in parts)
        return Interests(mean, self.interest_encoder.log_var(mean), intensity)

    def loss_terms(self, interaction) -> LossTerms:
        """The parts of the loss of a batch, summed over its targets."""
        item_seq, target_seq = self._training_sequences(interaction)
        mask = item_seq != 0
        next_item = target_seq[mask]  # [M], 0 where there is no target
        at_target = next_item != 0
        target = next_item[at_target] - 1  # [N], rows of the items without padding
        items = self.item_vectors[1:]
        sequence_ce = sequence_kl = interest_ce = interest_kl = orthogonality = 0.0

        prior = None
        if self.has_interests:
            prior = self._interests_at(at_target, item_seq)
            x = gaussian.sample(prior.mean, prior.log_var)
            users = self.interest_decoder(x)
            interest_ce = self._item_loss(users, items, target, self.interest_temperature, self.mie_loss)  # (8), (9)
            interest_kl = losses.gaussian_kl(prior.mean, prior.log_var).sum()  # (7)
            orthogonality = losses.orthogonality(self.interest_encoder.categories, self.orth_loss)  # (4)

        if self.scorer == "sequence":
            mean, log_var = self.posterior(item_seq)
            z = gaussian.sample(mean, log_var)
            users = self.decoder(z, mask)[at_target]
            sequence_ce = self._item_loss(users, items, target, self.temperature, self.loss)  # (13), (14)
            sequence_kl = self._sequence_kl(z[at_target], mean[at_target], log_var[at_target], prior).sum()

        return LossTerms(sequence_ce, sequence_kl, interest_ce, interest_kl, orthogonality, len(target))

    def _item_loss(self, users: Tensor, items: Tensor, target: Tensor, temperature: float, loss: str) -> Tensor:
        """Cross-entropy of the targets, summed, over the whole catalog or a sample of it."""
        if loss == "full":
            return interest_cross_entropy(users, items, target, temperature=temperature).sum()
        return sampled_interest_cross_entropy(
            users, items, target, num_samples=self.num_negatives, temperature=temperature
        ).sum()

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

    def predict(self, interaction) -> Tensor:
        """Scores ``[B]`` of the item of each row after its sequence."""
        users = self.user_vectors(interaction)
        items = self.item_vectors[interaction[self.ITEM_ID]]
        return (users @ items.unsqueeze(-1)).squeeze(-1).amax(1)

    def full_sort_predict(self, interaction) -> Tensor:
        """Scores ``[B, V]`` of every item after each sequence; column 0 is the padding."""
        return losses.interest_scores(self.user_vectors(interaction), self.item_vectors)

    def user_vectors(self, interaction) -> Tensor:
        """User vectors ``[B, K, D]`` after the last item, from the means (3.4); K = 1 for ``scorer: sequence``.

        Divided by the temperature: the score of an item is the largest product of its vector with those of the user.
        """
        item_seq = interaction[self.ITEM_SEQ]
        mask = item_seq != 0
        last = mask.sum(1).cumsum(0) - 1  # among the M items of the batch
        if self.scorer == "interests":
            mean, _ = self.interest_encoder.mean_and_intensity(self.item_embedding(item_seq[mask]), mask)
            return self.interest_decoder(mean[last]) / self.interest_temperature
        mean = self.mean_encoder(self.embed(item_seq), mask)  # z without noise
        return self.decoder(mean, mask)[last].unsqueeze(1) / self.temperature

    def _training_sequences(self, interaction) -> tuple[Tensor, Tensor]:
        """Items and, at each position that has one, the next item: ``[B, T]`` twice."""
        item_seq, target = interaction[self.ITEM_SEQ], interaction[self.ITEM_ID]
        if target.dim() == 2:
            return item_seq, target
        last = interaction[self.ITEM_SEQ_LEN].unsqueeze(1) - 1
        if self.label_field in interaction:
            target = target * (interaction[self.label_field] > 0)
        return item_seq, torch.zeros_like(item_seq).scatter(1, last, target.unsqueeze(1))
