"""How a recommender searches the catalog: all of it, or candidates that an index finds."""

from __future__ import annotations

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_sigma import precision
from recbole_sigma.errors import RequestError
from recbole_sigma.evaluation import Ranked, has_vectors, log_probabilities, rank_catalog
from recbole_sigma.extras import require
from recbole_sigma.model.registry import MODELS

SAMPLES = 40
"""Number of items per list that the lists are learnt from; faiss asks for 39."""
VALUES_AT_ONCE = 2**23
"""Most values in the candidates' vectors that are scored at a time, 34 MB; at least one user is scored."""


class ProductIndex:
    """Finds the items with the largest products by inverted lists of faiss.

    Every item vector gets one more component, so that all have the same length (Bachrach et al., RecSys 2014). The
    items with the largest products are then the closest ones, and the lists are made by distance.

    Args:
        items: ``[V, D]``, on the CPU.
        probes: number of lists to search; there are about ``4 sqrt(V)``, and the search of all is exact.

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


class ExactSearch:
    """Ranks the whole catalog.

    Args:
        model: sequential.
        item_features: an interaction of the ``V`` items.
        device: of the model.
    """

    def __init__(self, model, item_features: Interaction, device: torch.device) -> None:
        self.model, self.device = model, device
        self.item_features = item_features.to(device)

    @torch.no_grad()
    def rank(self, rows: Interaction, k: int, excluded: tuple[Tensor, Tensor] | None) -> Ranked:
        """The k best items of evaluation rows; arguments as for ``evaluation.rank_catalog``."""
        features = self.item_features
        with torch.autocast(self.device.type, enabled=False):
            return rank_catalog(self.model, rows.to(self.device), len(features), k, excluded, features)

    @torch.no_grad()
    def log_probabilities(self, rows: Interaction, items: Tensor, excluded: tuple[Tensor, Tensor] | None) -> Tensor:
        """Those of items ``[B, n]`` of evaluation rows, as ``evaluation.log_probabilities`` gives them; on the CPU."""
        features = self.item_features
        with torch.autocast(self.device.type, enabled=False):
            return log_probabilities(
                self.model, rows.to(self.device), items.to(self.device), len(features), excluded, features
            ).cpu()


class ApproximateSearch:
    """Ranks only candidates: the items that an index finds for each vector of a user.

    Candidates have the scores of the model, but good items may be missing. A user for whom fewer than k candidates are
    found gets the exact ranking.

    Args:
        exact: of a model with vectors of users and items.
        probes: see ``ProductIndex``.

    Raises:
        MissingExtraError: faiss is not installed.
        RequestError: the model has no such vectors, or probes is not a positive integer.
    """

    def __init__(self, exact: ExactSearch, probes: int) -> None:
        self.model = exact.model
        if not has_vectors(self.model):
            reason = getattr(self.model, "no_vectors", None)
            raise RequestError(
                f"{type(self.model).__name__} has no vectors of users and items to search"
                + (f": {reason}" if reason else f"; expected one of {', '.join(MODELS)}")
            )
        if isinstance(probes, bool) or not isinstance(probes, int) or probes < 1:
            raise RequestError(f"probes is {probes!r}; expected a number of lists of at least 1")
        self._exact, self.probes = exact, probes
        self._item_vectors = self.model.item_vectors.detach()
        self._index = ProductIndex(self._item_vectors[1:].cpu(), probes)

    def __repr__(self) -> str:
        return f"approximate search with probes={self.probes}"

    @torch.no_grad()
    def rank(self, rows: Interaction, k: int, excluded: tuple[Tensor, Tensor] | None) -> Ranked:
        """As ``ExactSearch.rank``, on the CPU."""
        device = self._item_vectors.device
        with torch.autocast(device.type, enabled=False):
            users = self.model.user_vectors(rows.to(device))
        row, item = excluded or (torch.empty(0, dtype=torch.long),) * 2
        most_excluded = int(row.bincount(minlength=1).max())
        num_items = len(self._item_vectors)
        count = min(k + most_excluded, num_items - 1)
        step = max(1, VALUES_AT_ONCE // (count * users.shape[1] * users.shape[2]))
        pairs = row * num_items + item
        starts = range(0, len(users), step)
        ranked = [self._best(users[start : start + step], start, k, count, pairs) for start in starts]
        ranked = Ranked(*(torch.cat(part) for part in zip(*ranked)))
        short = (~ranked.scores.isfinite()).any(1).nonzero().squeeze(1)
        if len(short):
            own = torch.isin(row, short)
            ranks = torch.searchsorted(short, row[own]), item[own]
            rest = self._exact.rank(rows[short], k, None if excluded is None else ranks)
            ranked.scores[short], ranked.items[short] = rest.scores.cpu(), rest.items.cpu()
        return ranked

    def _best(self, users: Tensor, first_row: int, k: int, count: int, excluded: Tensor) -> Ranked:
        """The best candidates of users ``[b, K, D]``, whose rows in ``excluded`` start at ``first_row``; on the CPU."""
        found = self._index.search(users.flatten(0, 1).cpu(), count)
        items = (1 + found.view(len(users), -1)).sort(1).values  # [b, C], 0 where nothing was found
        with precision.no_autocast(users):
            vectors = self._item_vectors[items.to(users.device)]
            scores = (users @ vectors.transpose(1, 2)).amax(1).cpu()
        row = torch.arange(first_row, first_row + len(users)).unsqueeze(1)
        left_out = (items == 0) | torch.isin(row * len(self._item_vectors) + items, excluded)
        left_out[:, 1:] |= items[:, 1:] == items[:, :-1]  # found for another vector too
        best = scores.masked_fill(left_out, -torch.inf).topk(k)
        return Ranked(best.values, items.gather(1, best.indices))
