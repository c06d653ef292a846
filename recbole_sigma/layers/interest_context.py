"""The interests as context for the decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recbole_sigma.layers.dropout import Dropout


class InterestContext(nn.Module):
    """Adds the mean of the mixture prior (10) to what the decoder reads: ``layer_norm(z + c)``.

    Here ``c = gain * dropout(layer_norm(sum_j alpha_j m_j))``. The paper's decoder reads z alone.
    """

    def __init__(self, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.prior_norm = nn.LayerNorm(hidden_size)
        self.dropout = Dropout(dropout)
        self.gain = nn.Parameter(torch.ones(hidden_size))
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, z: Tensor, mean: Tensor, intensity: Tensor) -> Tensor:
        """
        Args:
            z: ``[M, D]``.
            mean: m of the interests, ``[M, K, D]``.
            intensity: alpha, ``[M, K]``.

        Returns:
            ``[M, D]``.
        """
        prior_mean = (intensity.unsqueeze(-1) * mean).sum(1)
        return self.norm(z + self.gain * self.dropout(self.prior_norm(prior_mean)))
