"""Which items of a history a recommendation is due to: those without which its score falls most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_sigma.data.sequences import gather_ragged
from recbole_sigma.recommend.histories import Histories
from recbole_sigma.recommend.search import ExactSearch

MOST = 3
"""Most items that are named for a recommendation."""
CLEAR = 2.0
"""An item is named if the score falls by more than this times the median change over the history."""
ROUNDING = 1e-5
"""A smaller fall, in nats, is rounding: about a hundred times the relative precision of float32."""


class Effects(NamedTuple):
    """What each of the ``n`` distinct items of a history contributes to ``k`` recommended items.

    Attributes:
        items: ids ``[n]``, the latest first.
        falls: ``[n, k]``, by how much the score of each recommended item falls without each item of the history;
            negative where it rises, and infinite where nothing is left of the history.
    """

    items: np.ndarray
    falls: np.ndarray

    def named(self) -> list[list[int]]:
        """For each recommended item, the ids of the items of the history that it is due to, strongest first.

        At most ``MOST`` items, whose falls are more than ``CLEAR`` times the median absolute change of the score over
        the items of the history; of two items, more than ``CLEAR`` times the change of the other one. A history of one
        item has no other reason.
        """
        if len(self.items) == 1:
            return [self.items.tolist() for _ in range(self.falls.shape[1])]
        changes = np.abs(self.falls)
        usual = changes[::-1] if len(self.items) == 2 else np.median(changes, axis=0)
        clear = self.falls > np.maximum(CLEAR * usual, ROUNDING)
        order = np.argsort(-self.falls, axis=0, kind="stable")[:MOST]
        return [[int(self.items[place]) for place in places if own[place]] for places, own in zip(order.T, clear.T)]


class LeaveOut:
    """Scores histories again without some of their items.

    The score that is compared is the log-softmax over the items that can be ranked, which are all but those of the
    whole history, whatever is left out. A score alone would not do: without an item, the scores of all items may fall
    together, and then no recommendation changes. docs/explanations.md has the measurement.

    Args:
        search: exact, since an index leaves scores as they are.
        rows: makes evaluation rows of histories that are not empty.
        width: number of items that the model reads, the last ones.
        batch_size: rows that are scored at once.
    """

    def __init__(self, search: ExactSearch, rows: Callable[[Histories], Interaction], width: int, batch_size: int):
        self._search, self.rows, self.width, self._batch_size = search, rows, width, batch_size

    def effects(self, histories: Histories, recommended: Tensor) -> list[Effects]:
        """Effects of the items that the model reads; those that it does not read have none.

        Args:
            histories: ``B``, none of them empty.
            recommended: ids ``[B, k]``, 0 for no item.
        """
        row, item = items_read(histories, self.width)
        everyone = torch.arange(len(recommended))
        of = torch.cat([everyone, row])
        left_out = torch.cat([torch.zeros_like(everyone), item]).unsqueeze(1)
        scorable = without(histories, of, left_out).lengths > 0
        order = of.argsort(stable=True)  # each history beside its own shorter ones, in one batch
        order = order[scorable[order]]
        scores = torch.full((len(of), recommended.shape[1]), -torch.inf, dtype=torch.float64)
        scores[order] = self.scores(histories, of[order], left_out[order], recommended)
        no_item = (recommended == 0)[row]
        falls = (scores[row] - scores[len(everyone) :]).masked_fill(no_item, 0).numpy()
        ends = row.bincount(minlength=len(everyone)).cumsum(0).tolist()[:-1]
        return [Effects(*both) for both in zip(np.split(item.numpy(), ends), np.split(falls, ends))]

    def scores(self, histories: Histories, of: Tensor, left_out: Tensor, recommended: Tensor) -> Tensor:
        """Log-probabilities ``[N, k]`` of the recommended items of the histories ``of`` ``[N]``, without ``left_out``.

        Args:
            left_out: ids ``[N, m]``, 0 for none.
        """
        return torch.cat(
            [
                self._search.log_probabilities(rows, recommended[part], excluded)
                for part, rows, excluded in self._shortened(histories, of, left_out)
            ]
        )

    def top_items(self, histories: Histories, of: Tensor, left_out: Tensor, k: int) -> Tensor:
        """Ids ``[N, k]`` of the best items for the same histories, on the CPU; 0 at the end if there are fewer to rank.

        A catalog with fewer than k items gives as many columns.

        The items that are left out stay excluded, as all items of the whole history are.
        """
        k = min(k, len(self._search.item_features) - 1)
        return torch.cat(
            [
                self._search.rank(rows, k, excluded).items.cpu()
                for _, rows, excluded in self._shortened(histories, of, left_out)
            ]
        )

    def _shortened(
        self, histories: Histories, of: Tensor, left_out: Tensor
    ) -> Iterator[tuple[Tensor, Interaction, tuple[Tensor, Tensor]]]:
        """Batches: the histories that they are of, evaluation rows, and the pairs of a row and an item to exclude."""
        start = histories.lengths.cumsum(0) - histories.lengths
        for part, items in zip(of.split(self._batch_size), left_out.split(self._batch_size)):
            excluded = gather_ragged(histories.items, start[part], histories.lengths[part])
            yield part, self.rows(without(histories, part, items)), excluded


def without(histories: Histories, of: Tensor, left_out: Tensor) -> Histories:
    """The histories ``of`` ``[N]`` without all occurrences of the items ``left_out`` ``[N, m]``, 0 for none."""
    start = histories.lengths.cumsum(0) - histories.lengths
    row, place = gather_ragged(torch.arange(len(histories.items)), start[of], histories.lengths[of])
    items = histories.items[place]
    kept = (items.unsqueeze(1) != left_out[row]).all(1)
    return Histories(
        histories.users[of.numpy()],
        items[kept],
        row[kept].bincount(minlength=len(of)),
        histories.unknown[of.numpy()],
        None if histories.times is None else histories.times[place[kept]],
    )


def items_read(histories: Histories, width: int) -> tuple[Tensor, Tensor]:
    """The history of each distinct item among the last ``width`` ones, and the item, the latest first; both ``[P]``."""
    length = histories.lengths.clamp(max=width)
    row, item = gather_ragged(histories.items, histories.lengths.cumsum(0) - length, length)
    latest_first = torch.arange(len(item)).flip(0)
    pairs = torch.stack([row, item], 1)[latest_first].numpy()
    _, first = np.unique(pairs, axis=0, return_index=True)
    kept = latest_first[np.sort(first)]
    kept = kept[row[kept].argsort(stable=True)]
    return row[kept], item[kept]
