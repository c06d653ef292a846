"""A sequence model of its own for each interest: item vectors, encoder and decoder (docs/interests.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sigma import losses
from recbole_sigma.layers import gaussian
from recbole_sigma.layers.sequence_model import History, SequenceModel, Targets
from recbole_sigma.layers.sequence_vae import SequenceVAE


class Component(nn.Module):
    """Item vectors ``[V, D]`` and the VAE that reads and scores them."""

    def __init__(self, settings: Mapping[str, Any], num_items: int, max_length: int) -> None:
        super().__init__()
        self.item_embedding = nn.Embedding(num_items, settings["hidden_size"], padding_idx=0)
        self.vae = SequenceVAE(settings, max_length)

    def read(self, history: History) -> History:
        """The history with the vectors of this component."""
        return history._replace(vectors=self.item_embedding(history.items), interests=None)


class Components(SequenceModel):
    """``K`` components and the weights of their mixture.

    Args:
        settings: those of a ``SequenceVAE``, and ``component_share``: lambda, how far the weights follow the intensity of
            the interests, from 0 for equal weights to 1 for alpha.
        num_items: V.
        max_length: length of the longest sequence.
        count: K.
    """

    reads_interests = mixes = True

    def __init__(self, settings: Mapping[str, Any], num_items: int, max_length: int, count: int) -> None:
        super().__init__()
        self.share = settings["component_share"]
        self.components = nn.ModuleList(Component(settings, num_items, max_length) for _ in range(count))

    def weights(self, intensity: Tensor) -> Tensor:
        """``w = (1 - lambda) / K + lambda alpha``: ``[..., K]`` -> ``[..., K]``."""
        return (1 - self.share) / len(self.components) + self.share * intensity

    def tables(self, table: Tensor) -> list[Tensor]:
        return [component.item_embedding.weight for component in self.components]

    def losses(self, history: History, targets: Targets) -> tuple[Tensor, Tensor]:
        """``sum_k w_k CE_k`` and ``sum_k w_k KL(q(z_k) || N(m_k, omega_k^2))``, sums over the targets in nats.

        The weights are constants here: as parameters of this bound, they would only follow the easiest component.
        """
        batch, prior = targets.batch, targets.prior
        weight = self.weights(prior.intensity.detach())
        cross_entropy, kl = [], []
        for k, component in enumerate(self.components):
            mean, log_var = component.vae.posterior(component.read(history).vectors, history.packing)
            users = batch.select(component.vae.decode(gaussian.sample(mean, log_var), None, history.packing))
            cross_entropy.append(targets.item_loss(users, targets.catalogs[k], batch.target, weight=weight[:, k]))
            of_prior = prior.mean[:, k], prior.log_var[:, k]
            kl.append((weight[:, k] * losses.gaussian_kl_from(*map(batch.select, (mean, log_var)), *of_prior)).sum())
        return sum(cross_entropy), sum(kl)

    def users(self, history: History) -> Tensor:
        """User vectors ``[M, K, K D]``: that of component k in the k-th block, and zeros.

        Their products with the item vectors of all components side by side ``[V, K D]`` are each component's scores.
        """
        own = [component.vae.users(component.read(history)).squeeze(1) for component in self.components]
        size, others = own[0].shape[1], len(own) - 1
        blocks = [F.pad(vectors, (k * size, (others - k) * size)) for k, vectors in enumerate(own)]
        return torch.stack(blocks, 1)
