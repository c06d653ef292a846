"""Batches for training on every position, and evaluation rows with one rule for items seen before."""

from __future__ import annotations

from logging import getLogger

import torch
from recbole.data.dataloader import FullSortEvalDataLoader, NegSampleEvalDataLoader
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction
from recbole.sampler import Sampler

from recbole_sigma.data.dataset import TARGET_INDEX
from recbole_sigma.data.sequences import gather_padded, gather_ragged, segment_starts, windows


class SequenceDataLoader(AbstractDataLoader):
    """Whole training sequences of random users, with the next item as the target of every position.

    ``train_batch_size`` sequences make a batch of the fields of the item list ``[B, T]``, its length ``[B]`` and,
    in the field of the item id, the target of every position ``[B, T]``; T is the longest of the batch and 0 the
    padding. Sequences longer than ``MAX_ITEM_LIST_LENGTH`` are cut so that every item but the first is a target
    once.

    Attributes:
        targets_per_batch: mean number of targets, which makes every target weigh the same when the loss of each
            batch is divided by it.
    """

    def __init__(self, config, dataset, sampler=None, shuffle=True):
        self.logger = getLogger()
        target_index = dataset.inter_feat[TARGET_INDEX].sort().values
        start_of_user = dataset.user_start[target_index]
        is_first = segment_starts(start_of_user) == torch.arange(len(start_of_user))
        is_last = torch.cat([is_first[1:], torch.ones(1, dtype=torch.bool)])
        self.start, self.length = windows(
            start_of_user[is_first], target_index[is_last], config["MAX_ITEM_LIST_LENGTH"]
        )
        self.items = dataset.interactions[dataset.iid_field]
        self.iid_field, self.length_field = dataset.iid_field, dataset.item_list_length_field
        self.list_field = dataset.iid_field + config["LIST_SUFFIX"]
        self.sample_size = len(self.start)
        super().__init__(config, dataset, sampler, shuffle=shuffle)
        self.targets_per_batch = self.length.sum().item() / len(self)

    def _init_batch_size_and_step(self):
        self.step = self.config["train_batch_size"]
        self.set_batch_size(self.step)

    def collate_fn(self, index):
        index = torch.tensor(index)
        start, length = self.start[index], self.length[index]
        width = int(length.max())
        return Interaction(
            {
                self.list_field: gather_padded(self.items, start, length, width),
                self.length_field: length,
                self.iid_field: gather_padded(self.items, start + 1, length, width),
            }
        )


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
        first = (dataset.user_start == torch.arange(len(dataset.user_start))).nonzero(as_tuple=True)[0]
        users, items = (dataset.interactions[field][first].numpy() for field in (self.uid_field, self.iid_field))
        for phase in self.phases:
            for user, item in zip(users, items):
                used[phase][user].add(item)
        return used


def loader_class(mode: str) -> type:
    """Loader of an evaluation mode of RecBole: ``full``, ``labeled``, or sampled as ``uni100`` and ``pop100``."""
    return FullSortLoader if mode == "full" else NegSampleEvalDataLoader
