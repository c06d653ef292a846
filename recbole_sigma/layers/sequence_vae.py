"""SGM-VAE, which encodes a sequence into a Gaussian and decodes the user from it (SIGMA, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from recbole_sigma import losses
from recbole_sigma.layers import gaussian, transformer
from recbole_sigma.layers.interest_context import InterestContext
from recbole_sigma.layers.packing import Packing
from recbole_sigma.layers.sequence_model import History, SequenceModel, Targets


class SequenceVAE(SequenceModel):
    """Two encoders, of the mean and of the log-variance of z (11), and a decoder: three causal Transformers.

    Shapes: ``M`` items of a batch of sequences, ``K`` interests, ``D`` hidden size.

    Args:
        settings: those of a Transformer, ``hidden_size`` and ``log_var_bias``.
        max_length: length of the longest sequence.
        reads_interests: whether the decoder reads the interests beside z.
    """

    def __init__(self, settings: Mapping[str, Any], max_length: int, reads_interests: bool = False) -> None:
        super().__init__()
        hidden_size, self._log_var_bias = settings["hidden_size"], settings["log_var_bias"]
        self.embed = transformer.sequence_input(settings, max_length)
        self.mean_encoder = transformer.causal_transformer(settings, max_length)
        self.log_var_encoder = transformer.causal_transformer(settings, max_length)
        # A bias of 0 is the plain reading of the paper: the output of the encoder, without a head.
        self.log_var_head = nn.Linear(hidden_size, hidden_size) if self._log_var_bias else nn.Identity()
        self.reads_interests = reads_interests
        self.context = InterestContext(hidden_size, settings["hidden_dropout_prob"]) if reads_interests else None
        self.decoder = transformer.causal_transformer(settings, max_length)

    def init_log_var(self) -> None:
        """Let the log-variance start near its bias; to be called when all weights are drawn."""
        if self._log_var_bias:
            nn.init.constant_(self.log_var_head.bias, self._log_var_bias)

    def posterior(self, items: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z (11) after every item: item vectors ``[M, D]`` -> ``[M, D]`` twice."""
        embedding = self.embed(items, packing)
        mean = self.mean_encoder(embedding, packing)
        return mean, self.log_var_head(self.log_var_encoder(embedding, packing)).to(mean.dtype)

    def decode(self, z: Tensor, interests: tuple[Tensor, Tensor] | None, packing: Packing) -> Tensor:
        """User vectors u_hat ``[M, D]`` from z ``[M, D]`` and, where the decoder reads them, from the interests.

        Args:
            z: ``[M, D]``.
            interests: mean ``[M, K, D]`` and intensity ``[M, K]``; not read unless ``reads_interests``.
            packing: of the M items.
        """
        return self.decoder(z if self.context is None else self.context(z, *interests), packing)

    def users(self, history: History) -> Tensor:
        """User vectors ``[M, 1, D]`` from the mean of z, without noise (section 3.4)."""
        mean = self.mean_encoder(self.embed(history.vectors, history.packing), history.packing)
        return self.decode(mean, history.interests, history.packing).unsqueeze(1)

    def losses(self, history: History, targets: Targets) -> tuple[Tensor, Tensor]:
        """Cross-entropy (13), (14) and KL (12), sums over the targets in nats."""
        mean, log_var = self.posterior(history.vectors, history.packing)
        z = gaussian.sample(mean, log_var)
        users = targets.batch.select(self.decode(z, history.interests, history.packing))
        z, mean, log_var = map(targets.sample.select, (z, mean, log_var))
        prior = targets.prior
        if prior is None:
            kl = losses.gaussian_kl(mean, log_var)
        else:
            kl = losses.mixture_kl(z, mean, log_var, prior.intensity, prior.mean, prior.log_var)  # (12)
        (catalog,) = targets.catalogs
        return targets.item_loss(users, catalog, targets.batch.target), targets.sample.scale * kl.sum()
