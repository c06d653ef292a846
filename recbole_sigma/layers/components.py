"""A sequence model of its own for each interest: item vectors, encoder and decoder (docs/interests.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sigma import losses
from recbole_sigma.layers import gaussian
from recbole_sigma.layers.interests import Interests
from recbole_sigma.layers.packing import Packing, TrainingBatch
from recbole_sigma.layers.sequence_vae import ItemLoss, SequenceVAE


class Component(nn.Module):
    """Item vectors ``[V, D]`` and the VAE that reads and scores them."""

    def __init__(self, settings: Mapping[str, Any], num_items: int, max_length: int) -> None:
        super().__init__()
        self.item_embedding = nn.Embedding(num_items, settings["hidden_size"], padding_idx=0)
        self.vae = SequenceVAE(settings, max_length)

    def posterior(self, items: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z after every item: ids ``[M]`` -> ``[M, D]`` twice."""
        return self.vae.posterior(self.item_embedding(items), packing)

    def users(self, items: Tensor, packing: Packing) -> Tensor:
        """User vectors ``[M, D]`` from the mean of z: ids ``[M]``."""
        return self.vae.users(self.item_embedding(items), None, packing)


class Components(nn.ModuleList):
    """``K`` components and the weights of their mixture.

    Args:
        share: lambda, how far the weights follow the intensity of the interests: 0 for equal weights, 1 for alpha.
    """

    def __init__(self, settings: Mapping[str, Any], num_items: int, max_length: int, count: int, share: float) -> None:
        super().__init__(Component(settings, num_items, max_length) for _ in range(count))
        self.share = share

    def weights(self, intensity: Tensor) -> Tensor:
        """``w = (1 - lambda) / K + lambda alpha``: ``[..., K]`` -> ``[..., K]``."""
        return (1 - self.share) / len(self) + self.share * intensity

    def losses(
        self, catalogs: list[Tensor], prior: Interests, batch: TrainingBatch, item_loss: ItemLoss
    ) -> tuple[Tensor, Tensor]:
        """``sum_k w_k CE_k`` and ``sum_k w_k KL(q(z_k) || N(m_k, omega_k^2))``, sums over the targets in nats.

        The weights are constants here: as parameters of this bound, they would only follow the easiest component.

        Args:
            catalogs: item vectors without the padding of each component, ``[V - 1, D]``.
            prior: the interests at the targets.
            item_loss: from user vectors, catalog, targets, and ``weight``.
        """
        weight = self.weights(prior.intensity.detach())
        cross_entropy = kl = torch.zeros((), device=weight.device)
        for k, (component, catalog) in enumerate(zip(self, catalogs)):
            mean, log_var = component.posterior(batch.items, batch.packing)
            users = batch.select(component.vae.decode(gaussian.sample(mean, log_var), None, batch.packing))
            cross_entropy = cross_entropy + item_loss(users, catalog, batch.target, weight=weight[:, k])
            of_prior = prior.mean[:, k], prior.log_var[:, k]
            of_targets = losses.gaussian_kl_from(*map(batch.select, (mean, log_var)), *of_prior)
            kl = kl + (weight[:, k] * of_targets).sum()
        return cross_entropy, kl

    def block_vectors(self, items: Tensor, packing: Packing) -> Tensor:
        """User vectors after every item ``[M, K, K D]``: that of component k in the k-th block, and zeros.

        Their products with the item vectors of all components side by side ``[V, K D]`` are each component's scores.
        """
        size = self[0].item_embedding.embedding_dim
        users = [component.users(items, packing) for component in self]
        blocks = [F.pad(own, (k * size, (len(self) - 1 - k) * size)) for k, own in enumerate(users)]
        return torch.stack(blocks, 1)
