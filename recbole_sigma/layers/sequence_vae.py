"""SGM-VAE, which encodes a sequence into a Gaussian and decodes the user from it (SIGMA, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from torch import Tensor, nn

from recbole_sigma import losses
from recbole_sigma.layers import gaussian, transformer
from recbole_sigma.layers.interest_context import InterestContext
from recbole_sigma.layers.interests import Interests
from recbole_sigma.layers.packing import Packing, SampledBatch, TrainingBatch

ItemLoss = Callable[..., Tensor]
"""Cross-entropy of the targets, summed: of user vectors ``[N, D]`` and target ids ``[N]``."""


class SequenceVAE(nn.Module):
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

    def users(self, items: Tensor, interests: tuple[Tensor, Tensor] | None, packing: Packing) -> Tensor:
        """User vectors ``[M, D]`` from the mean of z, without noise (section 3.4)."""
        return self.decode(self.mean_encoder(self.embed(items, packing), packing), interests, packing)

    def losses(
        self,
        items: Tensor,
        interests: tuple[Tensor, Tensor] | None,
        prior: Interests | None,
        batch: TrainingBatch,
        sample: SampledBatch,
        item_loss: ItemLoss,
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy (13), (14) and KL (12) of a batch, sums over its targets in nats.

        Args:
            items: ``[M, D]``.
            interests: as for ``decode``.
            prior: the interests at the targets of the sample, or None for a standard normal prior.
            batch, sample: the whole batch, and the part of it that estimates the KL.
            item_loss: from user vectors and targets.
        """
        mean, log_var = self.posterior(items, batch.packing)
        z = gaussian.sample(mean, log_var)
        users = batch.select(self.decode(z, interests, batch.packing))
        z, mean, log_var = map(sample.select, (z, mean, log_var))
        if prior is None:
            kl = losses.gaussian_kl(mean, log_var)
        else:
            kl = losses.mixture_kl(z, mean, log_var, prior.intensity, prior.mean, prior.log_var)  # (12)
        return item_loss(users, batch.target), sample.scale * kl.sum()
