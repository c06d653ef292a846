"""Recommendations from catalogs that are too large to be scored as a whole for every user."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_sigma import precision
from recbole_sigma.errors import RequestError
from recbole_sigma.evaluation import Ranked
from recbole_sigma.extras import require
from recbole_sigma.recommend.histories import from_tokens
from recbole_sigma.recommend.recommender import Recommender

SAMPLES = 40
"""Items for each list from which the lists are learnt; faiss asks for 39."""
VALUES_AT_ONCE = 2**23
"""Numbers in the vectors of candidates that are scored at a time, 34 MB; at least those of one user."""


class ProductIndex:
    """The items with the largest products, by inverted lists of faiss.

    Every vector gets one more component that makes all of them equally long (Bachrach et al., RecSys 2014). Then the
    largest product is the smallest distance, by which the lists are made.

    Args:
        items: ``[V, D]``, on the CPU.
        probes: lists that are searched, of about ``4 sqrt(V)``; with all of them the search is exact.

    Raises:
        MissingExtraError: faiss is not installed.
    """

    def __init__(self, items: Tensor, probes: int) -> None:
        faiss = require("faiss", "ann")
        squares = items.square().sum(1, keepdim=True)
        vectors = torch.cat([items, (squares.max() - squares).sqrt()], 1).float().numpy()
        num_lists = max(1, min(round(4 * len(vectors) ** 0.5), len(vectors) // SAMPLES))
        self._index = faiss.index_factory(vectors.shape[1], f"IVF{num_lists},Flat")
        self._index.cp.min_points_per_centroid = 1  # no messages about few items
        self._index.train(np.ascontiguousarray(vectors[:: max(1, len(vectors) // (num_lists * SAMPLES))]))
        self._index.add(vectors)
        self._index.nprobe = min(probes, num_lists)

    def search(self, queries: Tensor, k: int) -> Tensor:
        """Indices ``[N, k]`` of items for queries ``[N, D]``, on the CPU; -1 where fewer were found."""
        vectors = torch.cat([queries, queries.new_zeros(len(queries), 1)], 1).float().numpy()
        return torch.from_numpy(self._index.search(vectors, k)[1])


class ApproximateRecommender(Recommender):
    """A recommender that scores some candidates only; ``Recommender.index`` makes one.

    The candidates of a user are what an index finds for each of the user's vectors. Their scores are those of the
    model; what may be missing are items. A user for whom fewer than k are found gets the exact ranking.

    Args:
        exact: whose model has vectors of users and items.
        probes: see ``ProductIndex``.

    Raises:
        MissingExtraError: faiss is not installed.
        RequestError: the model has no such vectors, or probes is no positive integer.
    """

    def __init__(self, exact: Recommender, probes: int) -> None:
        super().__init__(exact._saved)
        if not hasattr(self.model, "user_vectors"):
            raise RequestError(
                f"{self.state['model']} has no vectors of users and items to search; expected SIGMA or SASRecAP"
            )
        if isinstance(probes, bool) or not isinstance(probes, int) or probes < 1:
            raise RequestError(f"probes is {probes!r}; expected a number of lists of at least 1")
        self._exact = exact
        self._item_vectors = self.model.item_vectors.detach()
        self._index = ProductIndex(self._item_vectors[1:].cpu(), probes)

    def recall(self, histories: Sequence[Sequence[str]], k: int = 10, *, keep_seen: bool = False) -> float:
        """Share of the k best items that are found, a mean over histories that have both known items and items left.

        Args:
            histories, k, keep_seen: as for ``recommend``.

        Raises:
            RequestError: no history has such an item; or as for ``recommend``.
        """
        everyone = from_tokens(histories, self.catalog)
        found = expected = 0
        for own, exact in zip(self.batches(everyone, k, keep_seen), self._exact.batches(everyone, k, keep_seen)):
            for row in np.flatnonzero(~exact.by_popularity):
                best = exact.items[row, np.isfinite(exact.scores[row])]
                if len(best):
                    found += np.isin(best, own.items[row, np.isfinite(own.scores[row])]).mean()
                    expected += 1
        if not expected:
            raise RequestError(
                "no history has an item that the model knows, and leaves others to recommend; expected one at least"
            )
        return float(found / expected)

    def rank(self, rows: Interaction, k: int, excluded: tuple[Tensor, Tensor] | None) -> Ranked:
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            users = self.model.user_vectors(rows.to(self.device))
        row, item = excluded or (torch.empty(0, dtype=torch.long),) * 2
        most_excluded = int(row.bincount(minlength=1).max())
        count = min(k + most_excluded, len(self.catalog))
        step = max(1, VALUES_AT_ONCE // (count * users.shape[1] * users.shape[2]))
        pairs = row * len(self._item_vectors) + item
        starts = range(0, len(users), step)
        ranked = [self._best(users[start : start + step], start, k, count, pairs) for start in starts]
        ranked = Ranked(*(torch.cat(part) for part in zip(*ranked)))
        short = (~ranked.scores.isfinite()).any(1).nonzero().squeeze(1)
        if len(short):
            own = torch.isin(row, short)
            ranks = torch.searchsorted(short, row[own]), item[own]
            rest = super().rank(rows[short], k, None if excluded is None else ranks)
            ranked.scores[short], ranked.items[short] = rest.scores.cpu(), rest.items.cpu()
        return ranked

    def _best(self, users: Tensor, first_row: int, k: int, count: int, excluded: Tensor) -> Ranked:
        """The best candidates of users ``[b, K, D]``, the first of which has this row among the pairs, on the CPU."""
        found = self._index.search(users.flatten(0, 1).cpu(), count)
        items = (1 + found.view(len(users), -1)).sort(1).values  # [b, C], 0 where nothing was found
        with precision.no_autocast(users):
            vectors = self._item_vectors[items.to(self.device)]
            scores = (users @ vectors.transpose(1, 2)).amax(1).cpu()
        row = torch.arange(first_row, first_row + len(users)).unsqueeze(1)
        left_out = (items == 0) | torch.isin(row * len(self._item_vectors) + items, excluded)
        left_out[:, 1:] |= items[:, 1:] == items[:, :-1]  # found for another vector too
        best = scores.masked_fill(left_out, -torch.inf).topk(k)
        return Ranked(best.values, items.gather(1, best.indices))
