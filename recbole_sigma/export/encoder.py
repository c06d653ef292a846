"""The part of a model that is exported: from padded histories to user vectors or scores."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from recbole.data.interaction import Interaction
from torch import Tensor, nn

from recbole_sigma import losses
from recbole_sigma.layers.padded_packing import PaddedPacking

BATCHES = (1, 2, 7)
"""Batch sizes for which an exported model is compared with the original."""

NO_ITEM = 2**40
"""An id that no table of items has, so that looking it up fails; ONNX Runtime counts negative ids from the end."""


class Encoder(nn.Module):
    """From ``item_seq`` ``[B, T]``, ids padded with 0 on the right, to user vectors or scores of each row.

    An id that is no item, and an item after a 0, make the program fail: the id is out of bounds. ONNX Runtime checks
    bounds on a CPU.

    Args:
        model: sequential, in evaluation mode.
        scores: give scores ``[B, V]`` instead of user vectors ``[B, K, E]``. RecBole's models always give scores.

    Attributes:
        output: "user_vectors" or "scores".
        max_length: longest T.
        any_length: whether T may be shorter; RecBole's models always read ``max_length`` places.
    """

    def __init__(self, model, scores: bool) -> None:
        super().__init__()
        self.model = model
        self.any_length = hasattr(model, "encode_users")
        self.output = "scores" if scores or not self.any_length else "user_vectors"
        self.max_length = model.max_seq_length

    def forward(self, item_seq: Tensor) -> Tensor:
        item_seq = self._checked(item_seq)
        if not self.any_length:
            return self.model.full_sort_predict(self._interaction(item_seq)).view(item_seq.shape[0], -1)
        packing = PaddedPacking(item_seq, self.max_length)
        users = self.model.encode_users(item_seq.flatten(), packing)
        return users if self.output == "user_vectors" else losses.interest_scores(users, self.model.item_vectors)

    def _checked(self, item_seq: Tensor) -> Tensor:
        """The ids, with ``NO_ITEM`` in place of what is no item or lies after the padding."""
        after_padding = ((item_seq == 0).cumsum(1) > 0) & (item_seq != 0)
        wrong = after_padding | (item_seq < 0) | (item_seq >= self.model.n_items)
        return torch.where(wrong, NO_ITEM, item_seq)

    @torch.no_grad()
    def expected(self, item_seq: Tensor) -> Tensor:
        """The output of the original model, as in evaluation and in ``recbole_sigma.load``."""
        rows = self._interaction(item_seq)
        if self.output == "user_vectors":
            return self.model.user_vectors(rows)
        return self.model.full_sort_predict(rows).view(len(item_seq), -1)

    def _interaction(self, item_seq: Tensor) -> Interaction:
        length = (item_seq != 0).sum(1)
        return Interaction({self.model.ITEM_SEQ: item_seq, self.model.ITEM_SEQ_LEN: length})

    def histories(self) -> Iterator[Tensor]:
        """Random histories ``[B, T]`` for the comparison: from a single item to ``max_length`` items."""
        generator = torch.Generator().manual_seed(0)
        lengths = {1, (self.max_length + 1) // 2, self.max_length} if self.any_length else {self.max_length}
        for width in sorted(lengths):
            for batch in BATCHES:
                items = torch.randint(1, self.model.n_items, (batch, width), generator=generator)
                own = torch.linspace(width, 1, batch).round().long()
                yield items.where(torch.arange(width) < own.unsqueeze(1), 0)
