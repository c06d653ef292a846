"""A VAE whose posterior sees the next item and whose prior, the mixture of interests, ranks (docs/interests.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sigma import losses
from recbole_sigma.layers import gaussian, transformer
from recbole_sigma.layers.gelu import GELU
from recbole_sigma.layers.interests import Interests
from recbole_sigma.layers.packing import Packing, TrainingBatch
from recbole_sigma.layers.sequence_vae import ItemLoss
from recbole_sigma.precision import at_least_float32


class TargetVAE(nn.Module):
    """Prior ``sum_j alpha_j N(z; m_j, omega_j^2)``, posterior ``q(z | history, next item)``, and decoder.

    Shapes: ``M`` items of a batch of sequences, ``N`` targets, ``K`` interests, ``D`` hidden size.

    Args:
        settings: those of a Transformer, ``hidden_size`` and ``log_var_bias``, with which both log-variances start.
        max_length: length of the longest sequence.
    """

    def __init__(self, settings: Mapping[str, Any], max_length: int) -> None:
        super().__init__()
        size, self.log_var_bias = settings["hidden_size"], settings["log_var_bias"]
        self.embed = transformer.sequence_input(settings, max_length)
        self.encoder = transformer.causal_transformer(settings, max_length)
        self.of_interest = nn.Sequential(nn.Linear(2 * size, size), GELU(), nn.Linear(size, 2 * size))
        self.of_target = nn.Sequential(nn.Linear(2 * size, size), GELU(), nn.Linear(size, 2 * size))
        self.norm = nn.LayerNorm(size)

    def state(self, items: Tensor, packing: Packing) -> Tensor:
        """State of the encoder after every item: item vectors ``[M, D]`` -> ``[M, D]``."""
        return self.encoder(self.embed(items, packing), packing)

    def prior(self, state: Tensor, mean: Tensor, intensity: Tensor) -> Interests:
        """The mixture: each interest, after a history, is a guess at what comes next.

        Args:
            state: ``[N, D]``.
            mean, intensity: of the interests, ``[N, K, D]`` and ``[N, K]``.
        """
        shift, log_var = self._beside(state.unsqueeze(1).expand_as(mean), mean, self.of_interest)
        return Interests(state.unsqueeze(1) + shift, log_var, intensity)

    def posterior(self, state: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z given the state and the vector of the next item, ``[N, D]`` each."""
        shift, log_var = self._beside(state, target, self.of_target)
        return state + shift, log_var

    def losses(
        self,
        items: Tensor,
        interests: tuple[Tensor, Tensor],
        target: Tensor,
        batch: TrainingBatch,
        item_loss: ItemLoss,
        free_nats: float,
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy at a draw of z, and KL of the posterior from the mixture, sums over the targets in nats.

        Args:
            items: ``[M, D]``.
            interests: mean ``[M, K, D]`` and intensity ``[M, K]``.
            target: vectors of the next items, ``[N, D]``.
            item_loss: from user vectors and targets.
            free_nats: the KL of a target counts as no less than this, so that less does not pay.
        """
        state = batch.select(self.state(items, batch.packing))
        prior = self.prior(state, *map(batch.select, interests))
        mean, log_var = self.posterior(state, target)
        z = gaussian.sample(mean, log_var)
        kl = losses.mixture_kl(z, mean, log_var, prior.intensity, prior.mean, prior.log_var)
        return item_loss(self.decode(z), batch.target), kl.clamp(min=free_nats).sum() if free_nats else kl.sum()

    def decode(self, z: Tensor) -> Tensor:
        """User vectors from z: ``[..., D]`` -> ``[..., D]``."""
        return self.norm(z)

    def _beside(self, state: Tensor, other: Tensor, network: nn.Module) -> tuple[Tensor, Tensor]:
        shift, log_var = network(torch.cat([state, F.layer_norm(other, other.shape[-1:])], -1)).chunk(2, -1)
        return shift, at_least_float32(log_var) + self.log_var_bias
