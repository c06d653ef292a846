"""Average of the history in the space of item vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recbole_sigma.layers.attention import causal_bias
from recbole_sigma.layers.packing import Packing


class HistoryAverage(nn.Module):
    """Average ``[M, D]`` of each item and those before it, ``s_t = sum_{i<=t} softmax_i(b[t - i]) x_i``.

    It is a causal low-pass filter: weights are learnt for each distance and group of features, and items are averaged
    as they are, without a linear map. FMLP-Rec (Zhou et al., WWW 2022) and BSARec (Shin et al., AAAI 2024) filter the
    whole sequence with a Fourier transform for the same purpose.

    Args:
        num_groups: number of groups of features. Initial weights fall with each item by a factor of exp(-0.3) in the
            first group, to exp(-0.03) in the last.
        max_length: length of the longest sequence.
    """

    def __init__(self, hidden_size: int, num_groups: int, max_length: int) -> None:
        super().__init__()
        decay = 0.3 * torch.logspace(0, -1, num_groups)
        self.distance_bias = nn.Parameter(-decay.unsqueeze(1) * torch.arange(max_length))  # b, [H, max_length]
        self.gain = nn.Parameter(torch.ones(hidden_size))

    def forward(self, x: Tensor, packing: Packing) -> Tensor:  # [M, D] -> [M, D]
        weight = causal_bias(self.distance_bias, packing.longest).softmax(-1)  # [1, H, T, T]
        return self.gain * packing.by_bucket(lambda rows: self._average(rows, weight), x)

    def _average(self, x: Tensor, weight: Tensor) -> Tensor:  # [b, t, D], [1, H, T, T] -> [b, t, D]
        length = x.shape[1]
        groups = x.unflatten(2, (len(self.distance_bias), -1)).transpose(1, 2)  # [b, H, t, D / H]
        return (weight[..., :length, :length] @ groups).transpose(1, 2).flatten(2)
