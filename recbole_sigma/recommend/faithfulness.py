"""Whether explanations are true: what becomes of the recommendations without the items that are named."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recbole_sigma.evaluation import top_items
from recbole_sigma.evaluation.standard_error import standard_error
from recbole_sigma.model.base import NextItemRecommender
from recbole_sigma.recommend.histories import Histories
from recbole_sigma.recommend.interests import HistoryInterests, closest_interest, interests_of_row
from recbole_sigma.recommend.reasons import Effects, LeaveOut, items_read

TOP = 20
"""Length of the lists that items leave."""
DRAWS = 20
"""Random sets of items that are taken out of a history."""
SHORTEST = 5
"""Least number of distinct items in the histories that are looked at."""


class Share(NamedTuple):
    """A mean over recommendations, and its standard error over users; None if it is unknown."""

    mean: float
    error: float | None


class Comparison(NamedTuple):
    """How often recommended items leave the list without items of the history, over ``number`` recommendations.

    Attributes:
        number: of recommendations.
        named: without the items that are named first.
        random: without as many items drawn from the history, the mean over ``DRAWS`` draws.
        ratio: of the two; infinite if no draw has an effect.
        others: the mean over those draws that have none of the items that are named first; None without such draws. In
            a short history most draws have one of them.
    """

    number: int
    named: Share
    random: Share
    ratio: Share
    others: Share | None


class Deletion(NamedTuple):
    """For ``N`` recommended items of ``B`` histories.

    Attributes:
        history: ``[N]``, number of the history.
        num_named: ``[N]``, items that are named, at most ``reasons.MOST``.
        named: ``[N]``, 1 if the item leaves the list without the two items that are named first, or without the only
            one; 0 if it stays, or none is named.
        random: ``[N]``, share of the draws of as many items of the history without which it leaves the list.
        others: ``[N]``, the same of the draws that have none of the items that are named first; NaN without such draws.
    """

    history: np.ndarray
    num_named: np.ndarray
    named: np.ndarray
    random: np.ndarray
    others: np.ndarray

    def shares(self) -> list[Share]:
        """Of the recommendations with no, one, and two or more items named."""
        return [_share((self.num_named.clip(max=2) == number).astype(float), self.history) for number in range(3)]

    def compare(self, num_named: int) -> Comparison | None:
        """Named against random items, of the recommendations with one item named (1), or two and more (2).

        None if there are none.
        """
        own = self.num_named.clip(max=2) == num_named
        if not own.any():
            return None
        history, named, random = self.history[own], self.named[own], self.random[own]
        usual = float(random.mean())
        if usual == 0:
            ratio = Share(math.inf, None)
        else:
            ratio = float(named.mean()) / usual
            error = standard_error(named - ratio * random, history)
            ratio = Share(ratio, None if error is None else error / usual)
        known = np.isfinite(self.others[own])
        others = _share(self.others[own][known], history[known]) if known.any() else None
        return Comparison(int(own.sum()), _share(named, history), _share(random, history), ratio, others)


def _share(values: np.ndarray, histories: np.ndarray) -> Share:
    return Share(float(values.mean()), standard_error(values, histories))


def long_enough(histories: Histories, width: int) -> np.ndarray:
    """Numbers of the histories in whose last ``width`` items there are ``SHORTEST`` different ones at least."""
    row, _ = items_read(histories, width)
    return np.flatnonzero(row.bincount(minlength=len(histories.lengths)).numpy() >= SHORTEST)


def deletion(leave_out: LeaveOut, histories: Histories, seed: int = 0) -> Deletion:
    """Take the items that are named out of each history, and see which recommended items leave the top 20.

    All items of the whole history stay excluded from the ranking, also those that are taken out.

    Args:
        leave_out: of the recommender.
        histories: ``B``, as ``long_enough`` finds them.
        seed: of the random draws: ``DRAWS`` pairs of different items that the model reads, for each history. Where one
            item is named, it is compared with the first item of each pair.
    """
    everyone = torch.arange(len(histories.lengths))
    best = leave_out.top_items(histories, everyone, torch.zeros(len(everyone), 1, dtype=torch.long), TOP)
    effects = leave_out.effects(histories, best)
    number, named = _first_two(effects)  # [B, k], [B, k, 2]
    num_best = best.shape[1]
    generator = np.random.default_rng(seed)
    drawn = torch.from_numpy(np.stack([_draw(one.items, generator) for one in effects]))  # [B, DRAWS, 2]
    left, left_at_random = torch.zeros(2, *best.shape, dtype=torch.float64)
    left_with_others = torch.full_like(left, torch.nan)
    for count in (1, 2):
        own = number.clamp(max=2) == count
        history = own.nonzero()[:, 0]
        if not len(history):
            continue
        left[own] = _leaves(leave_out, histories, history, named[own][:, :count], best[own]).double()
        users = own.any(1).nonzero().squeeze(1)
        of = users.repeat_interleave(DRAWS)
        taken = drawn[users, :, :count]  # [U, DRAWS, count]
        top = leave_out.top_items(histories, of, taken.flatten(0, 1), TOP).view(-1, DRAWS, num_best)
        leaves = (top.unsqueeze(1) != best[users].view(-1, num_best, 1, 1)).all(-1)  # [U, k, DRAWS]
        left_at_random[users] = torch.where(own[users], leaves.double().mean(-1), left_at_random[users])
        first = named[users, :, :count].view(-1, num_best, 1, 1, count)
        other = (taken.view(-1, 1, DRAWS, count, 1) != first).flatten(3).all(-1)  # [U, k, DRAWS]
        share = (leaves & other).sum(-1).double() / other.sum(-1)
        left_with_others[users] = torch.where(own[users], share, left_with_others[users])
    row, column = best.nonzero(as_tuple=True)
    columns = (number, left, left_at_random, left_with_others)
    return Deletion(row.numpy(), *(values[row, column].numpy() for values in columns))


def _first_two(effects: list[Effects]) -> tuple[Tensor, Tensor]:
    """How many items are named for each recommended item, and the first two, 0 for none."""
    named = [one.named() for one in effects]
    number = torch.tensor([[len(items) for items in own] for own in named])
    first = torch.tensor([[[*items, 0, 0][:2] for items in own] for own in named])
    return number, first


def _draw(items: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """``DRAWS`` pairs of different items, ``[DRAWS, 2]``."""
    return items[generator.random((DRAWS, len(items))).argsort(1)[:, :2]]


def _leaves(leave_out: LeaveOut, histories: Histories, of: Tensor, left_out: Tensor, items: Tensor) -> Tensor:
    """Whether each item ``[N]`` is not among the best of its history without the items ``left_out`` ``[N, m]``."""
    requests, request = torch.cat([of.unsqueeze(1), left_out.sort(1).values], 1).unique(dim=0, return_inverse=True)
    top = leave_out.top_items(histories, requests[:, 0], requests[:, 1:], TOP)
    return ~(top[request] == items.unsqueeze(1)).any(1)


def agreement(model: NextItemRecommender, leave_out: LeaveOut, histories: Histories) -> Share:
    """Share of the recommended items that the interest with the largest product with each has in its own top 20.

    An interest ranks the whole catalog without the items of the history. Where the interests score the items, the share
    is 1.

    Args:
        model: with interests.
        leave_out: of the recommender.
        histories: ``B``, none of them empty.
    """
    everyone = torch.arange(len(histories.lengths))
    best = leave_out.top_items(histories, everyone, torch.zeros(len(everyone), 1, dtype=torch.long), TOP)
    found, of = [], []
    for number, history in enumerate(histories.batches(1)):
        read = interests_of_row(model, leave_out.rows(history).to(model.item_vectors.device))
        recommended = best[number][best[number] > 0]
        found.append(_in_own_list(model, read, recommended, history.items))
        of.append(np.full(len(recommended), number))
    return _share(np.concatenate(found), np.concatenate(of))


@torch.no_grad()
def _in_own_list(
    model: NextItemRecommender, read: HistoryInterests, recommended: Tensor, excluded: Tensor
) -> np.ndarray:
    """1 for each recommended item that the interest closest to it has in its own list, else 0."""
    row = torch.arange(len(read.vectors)).repeat_interleave(len(excluded))
    pairs = row, excluded.repeat(len(read.vectors))
    own = top_items(read.vectors.unsqueeze(1), model.item_vectors, min(TOP, len(model.item_vectors)), pairs)
    lists = own.without_unranked().items.cpu()[closest_interest(model, read, recommended)]
    return (lists == recommended.unsqueeze(1)).any(1).double().numpy()
