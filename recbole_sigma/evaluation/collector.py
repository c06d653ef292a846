"""The input of RecBole's metrics, from ranked items instead of the scores of the whole catalog."""

from __future__ import annotations

from collections import defaultdict

import torch
from recbole.evaluator import Collector
from torch import Tensor

from recbole_sigma.evaluation.diversity import bit_masks
from recbole_sigma.evaluation.ranking import Ranked, RankedItems


class TopItemsCollector(Collector):
    """Accepts ``RankedItems`` as well as the scores that RecBole's collector accepts.

    It provides the input of top-k metrics: ``rec.items``, ``rec.topk``, the counts of the training data, and the
    categories of items as bit masks, ``data.item_categories`` ``[V, W]``.
    """

    def __init__(self, config) -> None:
        super().__init__(config)
        self.parts = defaultdict(list)

    @property
    def needs_scores(self) -> bool:
        """Whether a metric of this configuration reads more than the top items, such as GAUC, AUC and LogLoss."""
        return any(self.register.need(name) for name in ("rec.meanrank", "rec.score", "data.label"))

    def data_collect(self, train_data):
        super().data_collect(train_data)
        if self.register.need("data.item_categories"):
            dataset = train_data.dataset
            self.data_struct.set("data.item_categories", bit_masks(*dataset.item_categories, dataset.item_num))

    def eval_batch_collect(self, scores_tensor, interaction, positive_u, positive_i):
        if isinstance(scores_tensor, RankedItems):
            self._collect_lists(scores_tensor.items, positive_u, positive_i)
            return
        if scores_tensor.dim() == 2:
            ranked = Ranked(*scores_tensor.topk(max(self.topk))).without_unranked()
            self._collect_lists(ranked.items, positive_u, positive_i)
        super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)

    def _collect_lists(self, items: Tensor, positive_row: Tensor, positive_item: Tensor) -> None:
        if self.register.need("rec.items"):
            self.parts["rec.items"].append(items)
        if self.register.need("rec.topk"):
            self.parts["rec.topk"].append(hits_and_positives(items, positive_row, positive_item))

    def get_data_struct(self):
        for name, parts in self.parts.items():
            self.data_struct.set(name, torch.cat(parts))  # in place of RecBole's lists, which have no empty places
        self.parts.clear()
        return super().get_data_struct()


def hits_and_positives(items: Tensor, positive_row: Tensor, positive_item: Tensor) -> Tensor:
    """RecBole's ``rec.topk``: whether each ranked item is a positive item of its row, and the number of positive items.

    Args:
        items: ``[B, k]``; 0 is an empty place, which is no hit.
        positive_row, positive_item: ``[P]``; a pair that comes twice counts once.

    Returns:
        ``[B, k + 1]``, integers.
    """
    pairs = torch.stack([positive_row, positive_item]).unique(dim=1)
    count = pairs[0].bincount(minlength=len(items)).to(items.device)
    row, item = pairs.to(items.device)
    hits = torch.zeros_like(items).index_add_(0, row, (items[row] == item.unsqueeze(1)).to(items.dtype))
    return torch.cat([hits * items.ne(0), count.unsqueeze(1)], 1)
