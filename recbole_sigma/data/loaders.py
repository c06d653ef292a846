"""Batches for training on every position, and evaluation rows with one rule for items seen before."""

from __future__ import annotations

import torch
from recbole.data.dataloader import FullSortEvalDataLoader, NegSampleEvalDataLoader
from recbole.sampler import Sampler

from recbole_sigma.data.dataset import TARGET_INDEX
from recbole_sigma.data.sequences import gather_ragged, windows
from recbole_sigma.layers.packing import Packing, TrainingBatch


class SequenceDataLoader:
    """Whole training sequences of random users without padding, with the next item as the target of every position.

    A batch has ``train_batch_size`` sequences or, where ``train_batch_tokens`` is set, as many as have no more items
    than that (one, if it is longer by itself). Their order is drawn anew for each epoch. Sequences longer than
    ``MAX_ITEM_LIST_LENGTH`` are cut so that every item but the first is a target once. The items are on the device of
    the training, where batches are put together by index arithmetic.

    Attributes:
        dataset: the training rows.
        targets_per_batch: mean number of targets, which makes every target weigh the same when the sum over each
            batch is divided by it.
    """

    def __init__(self, config, dataset, shuffle=True):
        self.dataset = dataset
        self.device = config["device"]
        self.shuffle = shuffle
        self.generator = torch.Generator().manual_seed(config["seed"])
        last = torch.full((dataset.user_num,), -1)
        last.scatter_reduce_(0, dataset.inter_feat[dataset.uid_field], dataset.inter_feat[TARGET_INDEX], "amax")
        trained = last >= 0
        self.start, self.length = windows(dataset.first_of_user[trained], last[trained], config["MAX_ITEM_LIST_LENGTH"])
        self.items = dataset.interactions[dataset.iid_field].to(self.device)
        self.batch_size, self.batch_tokens = config["train_batch_size"], config["train_batch_tokens"]
        self.num_batches = len(self._cut(torch.arange(len(self.start))))
        self.targets_per_batch = int(self.length.sum()) / self.num_batches

    def __len__(self):
        """Batches of an epoch; with ``train_batch_tokens``, about as many."""
        return self.num_batches

    def __iter__(self):
        return self.batches()

    def batches(self, first: int = 0):
        """Those of an epoch, without the ones before the batch ``first``, which are drawn but not put together."""
        order = torch.arange(len(self.start))
        if self.shuffle:
            order = torch.randperm(len(order), generator=self.generator)
        return map(self._batch, self._cut(order)[first:])

    def _cut(self, order):
        if self.batch_tokens is None:
            return order.split(self.batch_size)
        return order.split(_fill(self.length[order].tolist(), self.batch_tokens))

    def _batch(self, rows):
        packing = Packing(self.length[rows], self.device)
        index = packing.spread(self.start[rows]) + packing.position
        return TrainingBatch(self.items[index], packing, self.items[index + 1], None)


def _fill(lengths, most):
    """Numbers of consecutive sequences whose lengths add up to no more than ``most``, or one longer sequence."""
    sizes, room = [], 0
    for length in lengths:
        if length > room:
            sizes.append(0)
            room = most
        sizes[-1] += 1
        room -= length
    return sizes


class FullSortLoader(FullSortEvalDataLoader):
    """Evaluation rows against the whole catalog, ``eval_batch_size`` at a time for models of every type.

    With ``remove_seen`` the items that a user had interacted with before are left out of the ranking for every
    model, except where one of them is the target; without it none are. RecBole does the one for general and the
    other for sequential models.
    """

    def _init_batch_size_and_step(self):
        self.step = self.config["eval_batch_size"]
        self.set_batch_size(self.step)

    def collate_fn(self, index):
        interaction, history, positive_user, positive_item = super().collate_fn(index)
        if not self.config["remove_seen"]:
            history = None
        elif self.is_sequential:
            row, item = self._seen_before(interaction)
            is_target = item == interaction[self.iid_field][row]
            history = row[~is_target], item[~is_target]
        return interaction, history, positive_user, positive_item

    def _seen_before(self, interaction):
        if TARGET_INDEX not in interaction:  # benchmark files hold no more than the lists
            items = interaction[self.iid_field + self.config["LIST_SUFFIX"]]
            row, column = items.nonzero(as_tuple=True)
            return row, items[row, column]
        items = self._dataset.interactions[self.iid_field]
        return gather_ragged(items, *self._dataset.seen_before(interaction[TARGET_INDEX]))


class SeenItemsSampler(Sampler):
    """Draws evaluation negatives that a user has not interacted with up to the phase, first items included.

    RecBole's sampler knows the rows of the data sets, and a user's first item is no row of a sequential one.
    """

    def get_used_ids(self):
        used = super().get_used_ids()
        dataset = self.datasets[0]
        first = dataset.first_of_user[dataset.interactions[dataset.uid_field].unique()]
        users, items = (dataset.interactions[field][first].numpy() for field in (self.uid_field, self.iid_field))
        for phase in self.phases:
            for user, item in zip(users, items):
                used[phase][user].add(item)
        return used


def loader_class(mode: str) -> type:
    """Loader of an evaluation mode of RecBole: ``full``, ``labeled``, or sampled as ``uni100`` and ``pop100``."""
    return FullSortLoader if mode == "full" else NegSampleEvalDataLoader
