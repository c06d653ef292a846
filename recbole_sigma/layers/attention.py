"""Causal self-attention over packed sequences, with three kinds of position encoding."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sigma.deprecation import renamed
from recbole_sigma.layers.dropout import Dropout
from recbole_sigma.layers.packing import Packing


class CausalSelfAttention(nn.Module):
    """Multi-head attention in which position t sees positions 1..t.

    Shapes: ``B`` sequences of ``M`` items in total, ``D`` hidden size, ``H`` heads; in a bucket, ``b`` sequences of
    ``t`` positions.

    Args:
        position: "relative" adds a learnt bias for each head and distance to the attention scores, "rotary"
            rotates queries and keys (Su et al., 2021), "absolute" leaves positions to the input embedding.
        max_length: length of the longest sequence, for which distances and angles are prepared.
    """

    def __init__(self, hidden_size: int, n_heads: int, dropout: float, position: str, max_length: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.dropout = Dropout(dropout)
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.distance_bias = nn.Parameter(torch.zeros(n_heads, max_length)) if position == "relative" else None
        self.rotary = RotaryPosition(hidden_size // n_heads, max_length) if position == "rotary" else None

    def forward(self, x: Tensor, packing: Packing) -> Tensor:  # [M, D] -> [M, D]
        bias = None if self.distance_bias is None else causal_bias(self.distance_bias, packing.longest)
        return self.output(packing.by_bucket(lambda rows: self._attend(rows, bias), self.query_key_value(x)))

    def _attend(self, query_key_value: Tensor, bias: Tensor | None) -> Tensor:  # [b, t, 3 D] -> [b, t, D]
        query, key, value = query_key_value.unflatten(2, (3, self.n_heads, -1)).permute(
            2, 0, 3, 1, 4
        )  # [b, H, t, D / H]
        if self.rotary is not None:
            query, key = self.rotary(query), self.rotary(key)
        length = query.shape[2]
        mask = None if bias is None else bias[..., :length, :length]
        if self.training and self.dropout.p and query.device.type == "cpu":
            context = self._with_dropout(query, key, value, mask)
        else:
            dropout = self.dropout.p if self.training else 0.0
            context = F.scaled_dot_product_attention(query, key, value, mask, dropout, is_causal=mask is None)
        return context.transpose(1, 2).flatten(2)

    def _with_dropout(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """PyTorch's definition, which on a CPU spends a third of its time on drawing the dropout."""
        length, size = query.shape[2:]
        if mask is None:
            mask = query.new_full((length, length), -math.inf).triu(1)
        scores = query @ (key.transpose(-2, -1) / math.sqrt(size))
        return self.dropout((scores + mask).softmax(-1)) @ value


def causal_bias(distance_bias: Tensor, length: int) -> Tensor:
    """Bias of each query and key by their distance ``[H, max_length]`` -> ``[1, H, T, T]``; -inf for later keys."""
    position = torch.arange(length, device=distance_bias.device)
    distance = position[:, None] - position[None, :]
    bias = distance_bias[:, distance.clamp(min=0)]
    return bias.masked_fill(distance < 0, -math.inf).unsqueeze(0)


class RotaryPosition(nn.Module):
    """Rotates pairs of features by an angle that grows with the position, so that scores depend only on distances."""

    def __init__(self, head_size: int, max_length: int, base: float = 10000.0) -> None:
        super().__init__()
        frequency = base ** (-torch.arange(0, head_size, 2) / head_size)
        angle = torch.arange(max_length)[:, None] * frequency
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # [B, H, T, D / H]
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


__getattr__ = renamed(
    __name__,
    {name: f"recbole_sigma.layers.transformer:{name}" for name in ("CausalTransformer", "TransformerBlock")},
)
