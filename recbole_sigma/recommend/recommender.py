"""What a trained model recommends, to users that it was trained on and to new ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_sigma.data.sequences import gather_padded
from recbole_sigma.data.tables import Columns
from recbole_sigma.deprecation import warn_once
from recbole_sigma.errors import RequestError
from recbole_sigma.evaluation import Ranked
from recbole_sigma.recommend.catalog import Catalog
from recbole_sigma.recommend.histories import Histories, HistoryFile, from_tokens
from recbole_sigma.recommend.interests import (
    CANDIDATES,
    Category,
    Interest,
    closest_interest,
    interests_of_row,
    ranked_by_interests,
    require_categories,
    require_interests,
    role_of_interests,
)
from recbole_sigma.recommend.reasons import LeaveOut
from recbole_sigma.recommend.saved_average import load_one_or_average
from recbole_sigma.recommend.saved_model import SavedModel
from recbole_sigma.recommend.search import ApproximateSearch, ExactSearch


def load(
    checkpoint: str | os.PathLike | Sequence[str | os.PathLike],
    device: str = "auto",
    model_class: type | None = None,
    average: str | None = None,
) -> Recommender:
    """What the sequential model of a checkpoint, or the average of several, recommends; no data set is needed.

    Loading runs no code of the files.

    Args:
        checkpoint: file that a run of the plugin wrote; a folder, whose newest checkpoint or list of members is taken;
            a list of members, which ``run_seeds`` writes; or several checkpoints of models of the same items and users,
            which are averaged.
        device: "auto" for a GPU if there is one, "cpu", "cuda", or another of PyTorch's.
        model_class: of a model that is neither the plugin's nor RecBole's.
        average: "logits" for the mean of the members' scores, "probabilities" for the logarithm of the mean of their
            softmax over all items; by default what the list of members says, or "logits".

    Returns:
        The model in use.

    Raises:
        CheckpointError: a file is missing, damaged, or of a model that is not sequential; a member is not the file
            that the list was written for; or the members know different catalogs.
        RequestError: there is no such device or average, no checkpoint is given, or one is given twice.
    """
    return Recommender(load_one_or_average(checkpoint, device, model_class, average))


class Recommendation(NamedTuple):
    """Of one user.

    Attributes:
        items: tokens, best first; fewer than asked for if there are no more that the user has not had.
        scores: those of the model, which are compared within a user only; by popularity, training interactions.
        unknown: items of the history that the model does not know, which were skipped.
        by_popularity: whether nothing was left of the history, so that the most popular items are recommended.
    """

    items: list[str]
    scores: list[float]
    unknown: int
    by_popularity: bool


class Explanation(NamedTuple):
    """The recommendations, and what they are due to.

    Attributes:
        interests: as ``interests`` gives them; empty for models without interests. They have a part in the scores only
            where the model's ``interests_role`` is "score" or "context".
        recommendation: as ``recommend`` gives it.
        closest_interest: for each recommended item, the number of the interest that scores it, the one with the largest
            product, (9); empty unless the interests score the items.
        because: for each recommended item, the tokens of the history without which its score falls most, strongest
            first, at most three. Empty if no single item decides: if no fall is more than twice the median change over
            the items of the history. See docs/explanations.md.
    """

    interests: list[Interest]
    recommendation: Recommendation
    closest_interest: list[int]
    because: list[list[str]]

    @property
    def behind(self) -> list[int]:
        """Old name of ``closest_interest``."""
        warn_once("Explanation.behind", "Explanation.closest_interest")
        return self.closest_interest


class Batch(NamedTuple):
    """Recommendations for ``B`` users, as arrays."""

    users: np.ndarray  # [B], tokens
    items: np.ndarray  # [B, k], ids, best first, and 0 where a user is left with fewer than k items
    scores: np.ndarray  # [B, k], -inf there
    unknown: np.ndarray  # [B], items of the history that were skipped
    by_popularity: np.ndarray  # [B], whether nothing was left of the history
    num_interactions: int  # of all histories, unknown items included

    @property
    def num_items(self) -> np.ndarray:
        """``[B]``, number of items that each user gets."""
        return (self.items > 0).sum(1)


class Recommender:
    """A trained sequential model in use; ``recbole_sigma.load`` makes one.

    Scores are those of evaluation: to the bit on a CPU, if the same histories are in a batch in the same order.

    Attributes:
        catalog: the items by token, id and title.
        path: of the checkpoint.
        members: the checkpoints of an average; none for a single model.
        columns: what users, items and times are called in the data that the model was trained on.
        leave_out: scores histories without some of their items.
    """

    def __init__(self, saved: SavedModel, search: ExactSearch | ApproximateSearch | None = None):
        self._saved = saved
        self.model, self.settings, self._dataset, self.state, self.path, self.members = saved
        self.device = self.settings["device"]
        self.catalog = Catalog(self.state["metadata"], self.model.ITEM_ID)
        self.columns = Columns(self._dataset.uid_field, self._dataset.iid_field, self._dataset.time_field)
        self._exact = ExactSearch(self.model, self._dataset.get_item_feature(), self.device)
        self._search = search or self._exact
        self._user_id = self._dataset.field2token_id[self._dataset.uid_field]
        self._reads_times = getattr(self.model, "reads_times", False)
        width, batch_size = self.settings["MAX_ITEM_LIST_LENGTH"], self.settings["eval_batch_size"]
        self.leave_out = LeaveOut(self._exact, self._rows, width, batch_size)

    def __repr__(self) -> str:
        searched = "" if self._search is self._exact else f", {self._search}"
        return f"Recommender({self.state['model']}, {len(self.catalog):,} items, on {self.device}{searched})"

    @property
    def reads_user_id(self) -> bool:
        """Whether the model reads the user, for example to learn a vector of each one, which new users lack."""
        if getattr(self.model, "reads_users", False):
            return True
        num_users = len(self._user_id)
        return self._dataset.counts_users and any(num_users in weight.shape for weight in self.model.parameters())

    def recommend(
        self,
        histories: Sequence[Sequence[str]],
        k: int = 10,
        *,
        users: Sequence[str] | None = None,
        times: Sequence[Sequence[float | str]] | None = None,
        keep_seen: bool = False,
    ) -> list[Recommendation]:
        """The best items for each history.

        Args:
            histories: of any users, new ones too: lists of item tokens, oldest first. Items that the model does not
                know are skipped; the ``MAX_ITEM_LIST_LENGTH`` last ones are read, and all left out of the ranking.
            k: items for each.
            users: tokens of the users, for models that learn a vector of each (Caser, FPMC, HGN and others); those that
                they were not trained on have one that was never trained.
            times: a list for each history with the time of each item, for models that read times: numbers as in the
                data of the training, or dates in the form of ISO 8601, in UTC where they name no zone.
            keep_seen: rank the items of the history as well.

        Returns:
            A ``Recommendation`` for each history, in their order. Without any known item it is the most popular items.

        Raises:
            RequestError: histories that are no lists of tokens, k is not from 1 to the number of items, there are not
                as many times as items, or the model reads times and there are none.
        """
        self.check_k(k)
        everyone = self._histories(histories, users, times)
        return [one for batch in self.batches(everyone, k, keep_seen) for _, one in self._recommendations(batch)]

    def recommend_users(
        self, inter_file: str | os.PathLike, k: int = 10, *, columns: Columns | None = None, keep_seen: bool = False
    ) -> Iterator[tuple[str, Recommendation]]:
        """The best items for each user of a file of interactions, of any size and in any order.

        Args:
            inter_file: atomic file, CSV or Parquet.
            k, keep_seen: as for ``recommend``.
            columns: names of the columns, by default those of the data that the model was trained on; without a time
                the rows are in order, which is not enough for models that read times.

        Yields:
            Token of a user, and a ``Recommendation``.

        Raises:
            DataError: the file cannot be read.
            RequestError: k is not from 1 to the number of items, or the model reads times and there are none.
        """
        self.check_k(k)
        histories = self.read(inter_file, columns)
        return (
            one
            for everyone in histories
            for batch in self._in_batches(everyone)
            for one in self._recommendations(self._recommend(batch, k, keep_seen))
        )

    def interests(
        self,
        history: Sequence[str],
        nearest: int = 5,
        *,
        user: str | None = None,
        times: Sequence[float | str] | None = None,
    ) -> list[Interest]:
        """The interests of the user of a history, most intense first; for models with several vectors per user.

        Args:
            history: item tokens, oldest first, of which the model reads the ``MAX_ITEM_LIST_LENGTH`` last known ones.
            nearest: recommended items to list for each interest, of the user's ``CANDIDATES`` best ones (or of as many
                as are to be listed, if these are more).
            user: token of the user, for models that read users.
            times: time of each item, as for ``recommend``, for models that read times.

        Returns:
            An ``Interest`` for each of the K interests to which an item of the history belongs.

        Raises:
            RequestError: the model has no interests, the history no item that it knows, or it needs times.
        """
        require_interests(self.model)
        return self._interests(self._known(history, user, times), nearest)

    def _known(self, history, user, times) -> Histories:
        """A single history, with an item at least."""
        everyone = self._histories([history], None if user is None else [user], None if times is None else [times])
        if not len(everyone.items):
            raise RequestError(
                "the history has no item that the model knows; expected at least one, such as "
                f"{self.catalog.tokens[1]!r}"
            )
        return everyone

    def _interests(self, history: Histories, nearest: int) -> list[Interest]:
        nearest = self._most("nearest", nearest)
        read = interests_of_row(self.model, self._rows(history).to(self.device))
        tokens, member = self.catalog.tokens[read.items.cpu().numpy()], read.member.cpu().numpy()
        (batch,) = self.batches(history, min(max(CANDIDATES, nearest), len(self.catalog)))
        best = torch.from_numpy(batch.items[0, : batch.num_items[0]])
        listed = ranked_by_interests(self.model, read, best, nearest).numpy()
        return [
            Interest(
                number,
                float(read.intensity[number]),
                tokens[member == number].tolist(),
                self.catalog.tokens[listed[number]].tolist(),
                None if read.spread is None else float(read.spread[number]),
            )
            for number in read.supported
        ]

    def categories(self, typical: int = 10) -> list[Category]:
        """The implicit item categories that the model learnt, such as SIGMA's.

        Args:
            typical: items to list for each, or all if there are fewer.

        Raises:
            RequestError: the model has none.
        """
        require_categories(self.model)
        typical = self._most("typical", typical)
        with torch.no_grad():
            similarity = self.model.category_similarity()[1:].cpu()
        members = similarity.argmax(1).numpy()
        best = similarity.topk(typical, dim=0)
        return [
            Category(
                number,
                int((members == number).sum()),
                int(self.catalog.popularity[1:][members == number].sum()),
                self.catalog.tokens[1 + best.indices[:, number].numpy()].tolist(),
                best.values[:, number].tolist(),
            )
            for number in range(similarity.shape[1])
        ]

    def explain(
        self,
        history: Sequence[str],
        k: int = 10,
        nearest: int = 5,
        *,
        user: str | None = None,
        times: Sequence[float | str] | None = None,
    ) -> Explanation:
        """The recommendations, the items of the history that each is due to, and the interests of the user, if any.

        For every sequential model. Arguments and errors are those of ``recommend`` and ``interests``; the reasons are
        exact for a recommender with an index too.

        Raises:
            RequestError: the history has no item that the model knows; or as for ``recommend`` and ``interests``.
        """
        self.check_k(k)
        self._most("nearest", nearest)
        known = self._known(history, user, times)
        (batch,) = self.batches(known, k)
        ((_, recommendation),) = self._recommendations(batch)
        recommended = torch.from_numpy(batch.items[:, : batch.num_items[0]])
        (effects,) = self.leave_out.effects(known, recommended)
        because = [self.catalog.tokens[items].tolist() for items in effects.named()]
        role = role_of_interests(self.model)
        interests = [] if role is None else self._interests(known, nearest)
        closest = []
        if role == "score":
            read = interests_of_row(self.model, self._rows(known).to(self.device))
            closest = closest_interest(self.model, read, recommended[0]).tolist()
        return Explanation(interests, recommendation, closest, because)

    def index(self, kind: str = "faiss", probes: int = 64) -> Recommender:
        """The same recommender for large catalogs: it ranks candidates that an index finds; needs the extra ``ann``.

        Args:
            kind: "faiss", inverted lists.
            probes: number of lists to search; more lists find more and take longer. There are about ``4 sqrt(V)``.

        Returns:
            A recommender whose ``recall`` says which share of the exact results it finds.

        Raises:
            MissingExtraError: faiss is not installed.
            RequestError: the kind is unknown, or the model has no vectors of users and items, as an average of
                probabilities and an average with models of RecBole have none.
        """
        if kind != "faiss":
            raise RequestError(f"kind is {kind!r}; expected 'faiss'")
        return Recommender(self._saved, ApproximateSearch(self._exact, probes))

    def recall(
        self,
        histories: Sequence[Sequence[str]],
        k: int = 10,
        *,
        users: Sequence[str] | None = None,
        times: Sequence[Sequence[float | str]] | None = None,
        keep_seen: bool = False,
    ) -> float:
        """Share of the k best items of the exact ranking that this recommender finds; 1 unless it searches an index.

        The mean over the histories that have both known items and items left to recommend.

        Args:
            histories, k, users, times, keep_seen: as for ``recommend``.

        Raises:
            RequestError: no history has such an item; or as for ``recommend``.
        """
        self.check_k(k)
        everyone = self._histories(histories, users, times)
        shares = []
        for histories, own in zip(self._in_batches(everyone), self.batches(everyone, k, keep_seen)):
            best = self._recommend(histories, k, keep_seen, self._exact)
            for row in np.flatnonzero(~best.by_popularity):
                expected = best.items[row][best.items[row] > 0]
                if len(expected):
                    shares.append(np.isin(expected, own.items[row]).mean())
        if not shares:
            raise RequestError(
                "no history has an item that the model knows, and leaves others to recommend; expected one at least"
            )
        return float(np.mean(shares))

    def read(self, path: str | os.PathLike, columns: Columns | None = None) -> HistoryFile:
        """The histories in a file; arguments as for ``recommend_users``."""
        columns = columns or self.columns
        self._require_times(columns.time)
        layout = self.settings["field_separator"], self.settings["encoding"]
        return HistoryFile(path, columns, self.catalog, *layout)

    def _histories(self, histories, users, times) -> Histories:
        self._require_times(times)
        return from_tokens(histories, self.catalog, users, times)

    def _require_times(self, given) -> None:
        if self._reads_times and given is None:
            raise RequestError(
                f"{self.state['model']} reads the time of each item; expected times: a column of --input that --time "
                "names, --times beside --history, or times=[[...], ...] in Python"
            )

    def batches(self, everyone: Histories, k: int, keep_seen: bool = False) -> Iterator[Batch]:
        """Recommendations as arrays, ``eval_batch_size`` users at a time.

        Args:
            everyone: as ``read`` gives them.
            k: as ``check_k`` accepts it.
            keep_seen: as for ``recommend``.
        """
        return (self._recommend(histories, k, keep_seen) for histories in self._in_batches(everyone))

    def _in_batches(self, everyone: Histories) -> Iterator[Histories]:
        return everyone.batches(self.settings["eval_batch_size"])

    def check_k(self, k: int) -> None:
        """Raise RequestError unless there are k items."""
        if not _is_count(k) or k > len(self.catalog):
            raise RequestError(f"k is {k!r}; expected a number of items from 1 to {len(self.catalog)}, all there are")

    def _most(self, name: str, count: int) -> int:
        """The number of items to list, at most all there are."""
        if not _is_count(count):
            raise RequestError(f"{name} is {count!r}; expected a number of items of at least 1")
        return min(count, len(self.catalog))

    def _recommendations(self, batch: Batch) -> Iterator[tuple[str, Recommendation]]:
        """The user and the recommendation of each row of a batch."""
        tokens, scores = self.catalog.tokens[batch.items].tolist(), batch.scores.tolist()
        rows = zip(batch.users, tokens, scores, batch.num_items, batch.unknown.tolist(), batch.by_popularity.tolist())
        for user, items, own, count, unknown, by_popularity in rows:
            yield user, Recommendation(items[:count], own[:count], unknown, by_popularity)

    @torch.no_grad()
    def _recommend(
        self, histories: Histories, k: int, keep_seen: bool, search: ExactSearch | ApproximateSearch | None = None
    ) -> Batch:
        empty = histories.lengths == 0
        items = torch.from_numpy(self.catalog.by_popularity[:k]).repeat(len(empty), 1)
        scores = torch.from_numpy(self.catalog.popularity)[items].to(torch.float64)
        if not empty.all():
            known = histories._replace(users=histories.users[~empty.numpy()], lengths=histories.lengths[~empty])
            row = torch.arange(len(known.lengths)).repeat_interleave(known.lengths)
            excluded = None if keep_seen else (row, known.items)
            ranked = (search or self._search).rank(self._rows(known), k, excluded)
            scores[~empty], items[~empty] = ranked.scores.to("cpu", torch.float64), ranked.items.cpu()
        return Batch(
            histories.users,
            items.numpy(),
            scores.numpy(),
            histories.unknown,
            empty.numpy(),
            len(histories.items) + int(histories.unknown.sum()),
        )

    def rank(self, rows: Interaction, k: int, excluded: tuple[Tensor, Tensor] | None) -> Ranked:
        """The k best items of evaluation rows; arguments as for ``evaluation.rank_catalog``."""
        return self._search.rank(rows, k, excluded)

    def _rows(self, histories: Histories) -> Interaction:
        """What models read of histories that are not empty: RecBole's padded lists of the last items."""
        width = self.settings["MAX_ITEM_LIST_LENGTH"]
        length = histories.lengths.clamp(max=width)
        start = histories.lengths.cumsum(0) - length
        items = gather_padded(histories.items, start, length, width)
        times = {}
        if self._reads_times:
            times[self.model.TIME_SEQ] = gather_padded(histories.times, start, length, width)
        return Interaction(
            {
                **times,
                self._dataset.uid_field: torch.tensor([self._user_id.get(user, 0) for user in histories.users]),
                self.model.ITEM_SEQ: items,
                self.model.ITEM_SEQ_LEN: length,
                # GRU4RecCPR, SASRecCPR and DIEN read these as well, and do not use them where they score
                self.model.ITEM_ID: torch.zeros_like(length),
                self.settings["NEG_PREFIX"] + self.model.ITEM_SEQ: items,
            }
        )


def _is_count(value) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
