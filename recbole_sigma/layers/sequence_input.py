"""What the sequence encoders read."""

from __future__ import annotations

from torch import Tensor, nn

from recbole_sigma.layers.dropout import Dropout
from recbole_sigma.layers.history_average import HistoryAverage
from recbole_sigma.layers.packing import Packing


class SequenceInput(nn.Module):
    """``e = dropout(layer_norm(item + position))`` (SIGMA, section 3.2), or that and its average over the history.

    Args:
        item_dropout: probability that an item is dropped out of the input as a whole, in training.
        position: "absolute" for a learnt vector for each position; "relative" and "rotary" leave them to attention.
        max_length: longest sequence.
        history_average: groups of features of a ``HistoryAverage`` s, with which the input is ``layer_norm(e + s)``; 0
            for none.
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
