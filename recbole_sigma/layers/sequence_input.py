"""What the sequence encoders read."""

from __future__ import annotations

from torch import Tensor, nn

from recbole_sigma.layers.dropout import Dropout
from recbole_sigma.layers.packing import Packing


class SequenceInput(nn.Module):
    """``dropout(layer_norm(item + position))``, positions added only where they are absolute (SIGMA, section 3.2).

    Args:
        position: "absolute" for a learnt vector for each position; "relative" and "rotary" leave them to attention.
        max_length: longest sequence.
    """

    def __init__(self, hidden_size: int, dropout: float, position: str, max_length: int) -> None:
        super().__init__()
        self.position_embedding = nn.Embedding(max_length, hidden_size) if position == "absolute" else None
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = Dropout(dropout)

    def forward(self, items: Tensor, packing: Packing) -> Tensor:  # item vectors [M, D] -> [M, D]
        if self.position_embedding is not None:
            items = items + self.position_embedding(packing.position)
        return self.dropout(self.norm(items))
