"""Causal Transformer over packed item sequences: its input, its blocks, and its settings with their rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from recbole_sigma.errors import ConfigError
from recbole_sigma.layers.attention import CausalSelfAttention
from recbole_sigma.layers.dropout import Dropout
from recbole_sigma.layers.gelu import GELU
from recbole_sigma.layers.history_average import HistoryAverage
from recbole_sigma.layers.packing import Packing
from recbole_sigma.rules import at_least, check_multiple, interval, one_of

RULES = {
    "inner_size": at_least(1),
    "n_layers": at_least(1),
    "n_heads": at_least(1),
    "history_average": at_least(0),
    "item_dropout_prob": interval("[0, 1)"),
    "hidden_dropout_prob": interval("[0, 1)"),
    "attn_dropout_prob": interval("[0, 1)"),
    "position": one_of("relative", "rotary", "absolute"),
}
"""Rules for the settings of a model that is a Transformer."""


def check_combination(settings: Mapping[str, Any]) -> None:
    """Raise ConfigError for settings of a Transformer that are valid one by one but not together."""
    hidden_size, n_heads, groups = (settings[key] for key in ("hidden_size", "n_heads", "history_average"))
    check_multiple("hidden_size", hidden_size, "n_heads", n_heads)
    if settings["position"] == "rotary" and hidden_size // n_heads % 2:
        raise ConfigError(
            f"position is rotary with {hidden_size // n_heads} features per head; expected an even number: "
            "change hidden_size or n_heads"
        )
    if groups and hidden_size % groups:
        raise ConfigError(
            f"history_average is {groups}; expected 0 for none, or a number of feature groups that divides "
            f"hidden_size = {hidden_size}"
        )


def sequence_input(settings: Mapping[str, Any], max_length: int) -> SequenceInput:
    """The input of a Transformer with these settings.

    Args:
        settings: those of ``RULES``, and ``hidden_size``.
        max_length: length of the longest sequence.

    Returns:
        A ``SequenceInput``.
    """
    return SequenceInput(
        settings["hidden_size"],
        settings["hidden_dropout_prob"],
        settings["item_dropout_prob"],
        settings["position"],
        max_length,
        settings["history_average"],
    )


def causal_transformer(settings: Mapping[str, Any], max_length: int) -> CausalTransformer:
    """The blocks of a Transformer with these settings.

    Args:
        settings: those of ``RULES``, and ``hidden_size``.
        max_length: length of the longest sequence.

    Returns:
        A ``CausalTransformer``.
    """
    return CausalTransformer(
        settings["n_layers"],
        hidden_size=settings["hidden_size"],
        n_heads=settings["n_heads"],
        inner_size=settings["inner_size"],
        hidden_dropout=settings["hidden_dropout_prob"],
        attn_dropout=settings["attn_dropout_prob"],
        position=settings["position"],
        max_length=max_length,
    )


class SequenceInput(nn.Module):
    """``e = dropout(layer_norm(item + position))``, optionally with the average of the history added.

    The embedding layer is that of SASRec (Kang & McAuley, ICDM 2018) with BERT's layer norm (Devlin et al., 2019).
    SIGMA's paper refers to a Transformer and prints no formula for its input.

    Args:
        item_dropout: probability of dropping a whole item from the input during training.
        position: "absolute" for a learnt vector per position; "relative" and "rotary" leave positions to attention.
        max_length: length of the longest sequence.
        history_average: number of feature groups of a ``HistoryAverage`` s, with which the input is
            ``layer_norm(e + s)``; 0 for none.
    """

    def __init__(
        self,
        hidden_size: int,
        dropout: float,
        item_dropout: float,
        position: str,
        max_length: int,
        history_average: int,
    ) -> None:
        super().__init__()
        self.item_dropout = Dropout(item_dropout)
        self.position_embedding = nn.Embedding(max_length, hidden_size) if position == "absolute" else None
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = Dropout(dropout)
        self.history_average = None
        if history_average:
            self.history_average = HistoryAverage(hidden_size, history_average, max_length)
            self.average_norm = nn.LayerNorm(hidden_size)

    def forward(self, items: Tensor, packing: Packing) -> Tensor:  # item vectors [M, D] -> [M, D]
        items = items * self.item_dropout(items.new_ones(items.shape[0], 1))
        if self.position_embedding is not None:
            items = items + self.position_embedding(packing.position)
        embedding = self.dropout(self.norm(items))
        if self.history_average is not None:
            embedding = self.average_norm(embedding + self.history_average(embedding, packing))
        return embedding


class TransformerBlock(nn.Module):
    """Attention and a feed-forward layer, each followed by dropout, residual and layer norm (Vaswani et al., 2017)."""

    def __init__(
        self,
        hidden_size: int,
        n_heads: int,
        inner_size: int,
        hidden_dropout: float,
        attn_dropout: float,
        position: str,
        max_length: int,
    ) -> None:
        super().__init__()
        self.attention = CausalSelfAttention(hidden_size, n_heads, attn_dropout, position, max_length)
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.feed_forward = nn.Sequential(
            nn.Linear(hidden_size, inner_size), GELU(), nn.Linear(inner_size, hidden_size)
        )
        self.feed_forward_norm = nn.LayerNorm(hidden_size)
        self.dropout = Dropout(hidden_dropout)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:  # [M, D] -> [M, D]
        x = self.attention_norm(x + self.dropout(self.attention(x, packing)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class CausalTransformer(nn.ModuleList):
    """``n_layers`` blocks over packed sequences; only the attention itself computes on padding."""

    def __init__(self, n_layers: int, **block: object) -> None:
        super().__init__(TransformerBlock(**block) for _ in range(n_layers))

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """
        Args:
            x: vectors of the items ``[M, D]``, sequence by sequence.
            packing: of the M items.

        Returns:
            ``[M, D]``.
        """
        for block in self:
            x = block(x, packing)
        return x
