"""SIGMA: Semantic Gaussian Mixture Variational Autoencoder for Sequential Recommendation (Li et al., DASFAA 2025).

Two VAEs learn side by side. MIE-VAE draws a Gaussian for each of the user's interests from implicit item
categories; SGM-VAE encodes the sequence into a Gaussian posterior whose prior is the mixture of these interests.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recbole_sigma import losses
from recbole_sigma.errors import ConfigError
from recbole_sigma.layers import gaussian, transformer
from recbole_sigma.layers.components import Components
from recbole_sigma.layers.gelu import GELU
from recbole_sigma.layers.interests import InterestEncoder, Interests
from recbole_sigma.layers.packing import Packing, SampledBatch, TrainingBatch
from recbole_sigma.layers.sequence_model import History, SequenceModel, Targets
from recbole_sigma.layers.sequence_vae import SequenceVAE
from recbole_sigma.layers.target_vae import TargetVAE
from recbole_sigma.model.base import LossTerms, NextItemRecommender, WarmUp
from recbole_sigma.rules import at_least, interval, is_bool, more_than, number, one_of


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
        "mie_share": interval("(0, 1]"),
        "mie_kl_weight": at_least(0.0),
        "orth_weight": at_least(0.0),
        "log_var_bias": number,
        "prior": one_of("mixture", "standard"),
        "decoder_context": one_of("interests", "none"),
        "scorer": one_of("sequence", "interests"),
        "posterior": one_of("history", "target"),
        "free_nats": at_least(0.0),
        "components": one_of("shared", "own"),
        "component_share": interval("[0, 1]"),
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
        for key, value in (("posterior", "target"), ("components", "own")):
            wanted = {"prior": "mixture", "scorer": "sequence", "decoder_context": "none", "detach_prior": False}
            wanted.update({"components": "shared"} if key == "posterior" else {"posterior": "history"})
            differing = [f"{name}: {config[name]}" for name, plain in wanted.items() if config[name] != plain]
            if config[key] == value and differing:
                plain = ", ".join(f"{name}: {setting}" for name, setting in wanted.items())
                raise ConfigError(f"{key} is {value}, which does not go with {', '.join(differing)}; expected {plain}")

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

        self.sequence = self._sequence_model(config) if self.scorer == "sequence" else None
        if self.num_interests:
            size = config["hidden_size"]
            self.interest_encoder = InterestEncoder(
                size,
                config["num_categories"],
                config["category_temperature"],
                config["soft_interest"],
                config["mixture_mask"],
                config["interest"],
            )
            self.interest_decoder = nn.Sequential(nn.Linear(size, size), GELU(), nn.Linear(size, size))
        self.init_weights(config["initializer_range"])
        for module in self.modules():
            if isinstance(module, SequenceVAE):
                module.init_log_var()
        if self.mixes:
            self.no_vectors = "its score is a mixture of the softmaxes of its interests"
        has_share = self.num_interests > 0 and self.interests_role != "score"
        self.mie_share = config["mie_share"] if has_share else 1.0

    def _sequence_model(self, config) -> SequenceModel:
        if config["posterior"] == "target":
            return TargetVAE(config, self.max_seq_length)
        if config["components"] == "own":
            return Components(config, self.n_items, self.max_seq_length, self.num_interests)
        reads_interests = self.num_interests > 0 and config["decoder_context"] == "interests"
        return SequenceVAE(config, self.max_seq_length, reads_interests)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        """Hook of PyTorch: in earlier checkpoints the parts of the sequence model are the model's own."""
        for part in ("embed", "mean_encoder", "log_var_encoder", "log_var_head", "context", "decoder"):
            for name in [name for name in state_dict if name.startswith(f"{prefix}{part}.")]:
                state_dict[f"{prefix}sequence.{name.removeprefix(prefix)}"] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def reads_interests(self) -> bool:
        """Whether what scores the items reads the interests after every item."""
        return self.sequence is None or self.sequence.reads_interests

    @property
    def mixes(self) -> bool:
        """Whether the score is a mixture of the softmaxes of the interests."""
        return self.sequence is not None and self.sequence.mixes

    @property
    def interests_role(self) -> str:
        """What the interests have to do with the scores; see ``NextItemRecommender``."""
        if self.sequence is None or self.sequence.mixes:
            return "score"
        return "context" if self.sequence.reads_interests else "description"

    @property
    def item_vectors(self) -> Tensor:
        """Vectors ``[V, E]`` that score the items; with ``components: own`` those of all components, E = K D."""
        tables = [self.item_embedding.weight]
        if self.sequence is not None:
            tables = self.sequence.tables(*tables)
        return torch.cat([self.scoring(table) for table in tables], 1) if len(tables) > 1 else self.scoring(*tables)

    def loss_terms(self, batch: TrainingBatch) -> LossTerms:
        table = self.item_embedding.weight
        vectors, catalog = self.item_embedding(batch.items), self.scoring(table)[1:]
        sample = batch.sample(self.mie_share)
        interests = prior = None
        sums, values = {}, {}
        if self.num_interests:
            interests, prior = self._interests_and_prior(vectors, batch, sample)
            users = self.interest_decoder(gaussian.sample(prior.mean, prior.log_var))
            sums["interests/ce"] = sample.scale * self.item_loss(
                users, catalog, sample.batch.target, self.interest_temperature, self.mie_loss
            )  # (8), (9)
            sums["interests/kl"] = sample.scale * losses.gaussian_kl(prior.mean, prior.log_var).sum()  # (7)
            values["orthogonality"] = losses.orthogonality(self.interest_encoder.categories, self.orth_loss)  # (4)
        if self.sequence is not None:
            if self.detach_prior and prior is not None:
                prior = Interests(*(part.detach() for part in prior))
            catalogs = [catalog if own is table else self.scoring(own)[1:] for own in self.sequence.tables(table)]
            history = History(batch.items, vectors, batch.packing, interests)
            targets = Targets(batch, sample, prior, table, catalogs, self.item_loss)
            sums["sequence/ce"], sums["sequence/kl"] = self.sequence.losses(history, targets)  # (12)-(14)
        return LossTerms(sums, len(batch.target), values)

    def _interests_and_prior(
        self, vectors: Tensor, batch: TrainingBatch, sample: SampledBatch
    ) -> tuple[tuple[Tensor, Tensor] | None, Interests]:
        """Mean and intensity after all items, if the sequence reads them; and the interests at the sample's targets."""
        if self.reads_interests:
            interests = self.interest_encoder.mean_and_intensity(vectors, batch.packing)
            mean, intensity = map(sample.select, interests)
        else:
            interests = None
            of_sample = self.interest_encoder.mean_and_intensity(sample.rows(vectors), sample.batch.packing)
            mean, intensity = map(sample.batch.select, of_sample)
        return interests, Interests(mean, self.interest_encoder.log_var(mean), intensity)

    def _read(self, items: Tensor, packing: Packing) -> History:
        vectors = self.item_embedding(items)
        interests = self.interest_encoder.mean_and_intensity(vectors, packing) if self.reads_interests else None
        return History(items, vectors, packing, interests)

    def encode_users(self, items: Tensor, packing: Packing) -> Tensor:
        """User vectors from the means of the Gaussians, without noise (section 3.4).

        K = 1 unless the interests score items, or are the components of the mixture that does.
        """
        if self.sequence is None:
            mean, _ = self.interest_encoder.mean_and_intensity(self.item_embedding(items), packing)
            return self.interest_decoder(mean[packing.last]) / self.interest_temperature
        return self.sequence.users(self._read(items, packing))[packing.last] / self.temperature

    def mixture_weights(self, items: Tensor, packing: Packing) -> Tensor | None:
        if not self.mixes:
            return None
        _, intensity = self.interest_encoder.mean_and_intensity(self.item_embedding(items), packing)
        return self.sequence.weights(intensity[packing.last])

    def interests(self, items: Tensor, packing: Packing) -> Tensor:
        """Vectors of the interests ``[M, K, E]`` after every item, whose products with item vectors rank the items.

        They are the decoded means of the interests (9), or the user vectors that are mixed.
        """
        if self.mixes:
            return self.sequence.users(self._read(items, packing))
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
