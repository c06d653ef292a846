"""The test rows as in evaluation, and the rank of the item that came next."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import torch
from recbole.utils import ModelType

from recbole_sigma.data import create_dataset, identify
from recbole_sigma.data.sequences import gather_ragged
from recbole_sigma.data.loaders import FullSortLoader
from recbole_sigma.data.target_rows import TARGET_INDEX
from recbole_sigma.errors import DataError
from recbole_sigma.recommend import Recommender
from recbole_sigma.recommend.histories import Histories
from recbole_sigma.recommend.interests import has_interests, intensities
from recbole_sigma.recommend.saved_model import Settings


class HeldOut(NamedTuple):
    """The ``R`` rows of the test: a user, a history, and the item that came next.

    Attributes:
        loader: gives the rows again by their indices.
        user: ``[R]``, ids.
        length: ``[R]``, number of items in the history, of which the model reads the last ``MAX_ITEM_LIST_LENGTH``.
        target: ``[R]``, ids of the items that came next.
        rank: ``[R]``, rank of the target from 1; 0 if it is not in the longest list of ``topk``.
        intensity: ``[R, K]`` of the interests after the history, or None for models without them.
    """

    loader: FullSortLoader
    user: np.ndarray
    length: np.ndarray
    target: np.ndarray
    rank: np.ndarray
    intensity: np.ndarray | None

    @property
    def unit(self) -> str:
        """What the rows are called: users, unless a user has several rows."""
        return "users" if len(np.unique(self.user)) == len(self.user) else "test interactions"

    def recall(self, k: int) -> np.ndarray:
        """Recall@k of each row: 1 if the target is among the first k, else 0."""
        return ((self.rank > 0) & (self.rank <= k)).astype(float)

    def ndcg(self, k: int) -> np.ndarray:
        """NDCG@k of each row: 1 / log2(1 + rank) of a target among the first k, else 0."""
        return self.recall(k) / np.log2(1 + np.maximum(self.rank, 1))

    def metric(self, name: str) -> np.ndarray | None:
        """Values of the rows for a name such as ``recall@20``; None for metrics other than Recall, Hit and NDCG."""
        metric, _, k = name.lower().partition("@")
        function = {"recall": self.recall, "hit": self.recall, "ndcg": self.ndcg}.get(metric)
        return None if function is None else function(int(k))


def histories(recommender: Recommender, held_out: HeldOut, rows: np.ndarray) -> Histories:
    """The whole histories of some rows, as a recommender reads them."""
    dataset, model = held_out.loader.dataset, recommender.model
    users = dataset.field2id_token[dataset.uid_field][held_out.user[rows]]
    times = None
    if TARGET_INDEX in dataset.inter_feat:
        index = dataset.inter_feat[TARGET_INDEX][torch.from_numpy(rows)]
        start, lengths = dataset.seen_before(index)
        _, items = gather_ragged(dataset.interactions[dataset.iid_field], start, lengths)
        if getattr(model, "reads_times", False):
            _, times = gather_ragged(dataset.times, start, lengths)
    else:
        interaction, *_ = held_out.loader.collate_fn(rows)
        read = interaction[model.ITEM_SEQ] > 0
        items, lengths = interaction[model.ITEM_SEQ][read], read.sum(1)
        if getattr(model, "reads_times", False):
            times = interaction[model.TIME_SEQ][read]
    return Histories(np.asarray(users, dtype=object), items, lengths, np.zeros(len(rows), dtype=np.int64), times)


def open_test_rows(recommender: Recommender, data_path: str | os.PathLike | None = None) -> FullSortLoader:
    """The loader of the test rows of the data set that a model was trained on.

    Args:
        data_path: folder that contains the folder of the data set; by default the one of the training.

    Raises:
        DataError: the data are missing, differ from those of the training, or have no test rows; or the test ranked
            sampled candidates.
    """
    state = recommender.state
    name, mode = state["config"]["dataset"], state["config"]["eval_args"]["mode"]["test"]
    if mode != "full":
        raise DataError(f"the test of this run ranked the candidates of mode {mode}, which each run draws anew")
    for member in recommender.members:
        for key in ("dataset", "eval_args", "benchmark_filename"):
            if member.state["config"].get(key) != state["config"].get(key):
                raise DataError(
                    f"the members of the average were trained with different {key}, so that what tests one of them may "
                    "have trained another"
                )
    settings = Settings(
        {**state["config"], "device": recommender.device, "MODEL_TYPE": ModelType.SEQUENTIAL, "worker": 0}
    )
    settings.model_class = recommender.settings.model_class
    if data_path is not None:
        settings["data_path"] = os.path.join(data_path, name)
    if not os.path.isdir(settings["data_path"]):  # RecBole would download it
        raise DataError(
            f"the data set {name} is not in {settings['data_path']}; give the folder that contains {name}/ with "
            "--data_path"
        )
    dataset = create_dataset(settings)
    if identify(dataset)["digest"] != state["metadata"]["digest"]:
        raise DataError(
            f"the data in {settings['data_path']} have other users or items than those of the training; give the "
            f"folder that contains the {name}/ of the training with --data_path"
        )
    test_set = dataset.build()[2]
    if not len(test_set):
        raise DataError(f"eval_args {settings['eval_args']} leave no rows of {name} for the test")
    return FullSortLoader(settings, test_set, None)


def rank_test_rows(recommender: Recommender, loader: FullSortLoader) -> HeldOut:
    """Rank the catalog for each test row, ``eval_batch_size`` rows at a time."""
    model, dataset = recommender.model, loader.dataset
    longest = max(recommender.settings["topk"])
    columns = {name: [] for name in ("user", "length", "target", "rank", "intensity")}
    for interaction, excluded, _, target in loader:
        best = recommender.rank(interaction, longest, excluded).items.cpu()
        hit = best == target.unsqueeze(1)
        columns["user"].append(interaction[dataset.uid_field])
        columns["target"].append(target)
        columns["rank"].append(torch.where(hit.any(1), 1 + hit.long().argmax(1), 0))
        if TARGET_INDEX in interaction:
            columns["length"].append(dataset.seen_before(interaction[TARGET_INDEX])[1])
        else:  # benchmark files contain no more than the lists
            columns["length"].append(interaction[model.ITEM_SEQ_LEN])
        if has_interests(model):
            columns["intensity"].append(intensities(model, interaction.to(recommender.device)))
    return HeldOut(
        loader, **{name: torch.cat(parts).cpu().numpy() if parts else None for name, parts in columns.items()}
    )
