"""Diagonal Gaussians with a given mean and logarithm of the variance."""

from __future__ import annotations

import torch
from torch import Tensor


def sample(mean: Tensor, log_var: Tensor, noise: Tensor | None = None) -> Tensor:
    """Reparameterised draw ``mean + std * noise`` (section 3.2 of SIGMA).

    Args:
        mean, log_var: ``[..., D]``.
        noise: ``[..., D]``, draws of the standard normal distribution; by default new ones from PyTorch's generator.

    Returns:
        ``[..., D]``.
    """
    noise = torch.randn_like(mean) if noise is None else noise
    return mean + torch.exp(0.5 * log_var) * noise
