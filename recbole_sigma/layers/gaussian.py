"""Diagonal Gaussians given by a mean and the logarithm of the variance."""

from __future__ import annotations

import torch
from torch import Tensor


def sample(mean: Tensor, log_var: Tensor) -> Tensor:
    """Reparameterised draw ``mean + std * noise`` (section 3.2 of SIGMA).

    Args:
        mean, log_var: ``[..., D]``.

    Returns:
        ``[..., D]``.
    """
    return mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
