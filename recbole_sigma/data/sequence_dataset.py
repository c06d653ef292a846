"""A sequential data set that holds every interaction once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from torch import Tensor

from recbole_sigma.data.groups import sort_rows
from recbole_sigma.data.ordered_dataset import OrderedDataset
from recbole_sigma.data.sequences import gather_padded, gather_ragged
from recbole_sigma.data.target_rows import TARGET_INDEX, HistoryLength, TargetIndex, TargetRows
from recbole_sigma.errors import ConfigError, DataError

READS_PADDED_ROWS = {"DIEN", "FEARec"}
"""Models of RecBole that read the padded rows of the whole data set."""


class SequenceDataset(OrderedDataset, SequentialDataset):
    """A sequential data set that stores every interaction once.

    A row is the index of a target in ``interactions``, which are sorted by user and time. The lists that a model reads
    are gathered when rows are read, where RecBole stores a padded copy of the history for each row.
    """

    def data_augmentation(self):
        """Turn the interactions into rows, one for each interaction that has a history."""
        self._aug_presets()
        by_user, _ = sort_rows(self.inter_feat[self.uid_field].numpy(), self.user_num)
        by_user = torch.from_numpy(by_user.astype(np.int64))
        self.exact_times = None if self.exact_times is None else self.exact_times[by_user]
        self.inter_feat._reindex(by_user)
        self.times = None if self.times is None else self.times[by_user]
        self.interactions = self.inter_feat
        user = self.interactions[self.uid_field]
        self.first_of_user = torch.searchsorted(user, torch.arange(self.user_num))
        target_index = (user[1:] == user[:-1]).nonzero().squeeze(1) + 1
        if not len(target_index):
            raise DataError(f"no user of {self.dataset_name!r} has two interactions; expected users with sequences")
        if self.config["model"] in READS_PADDED_ROWS:
            super().data_augmentation()
            self.inter_feat[TARGET_INDEX] = target_index
            return
        columns = {
            **self.interactions.interaction,
            self.item_list_length_field: HistoryLength(user, self.first_of_user, self.max_item_list_len),
            TARGET_INDEX: TargetIndex(),
        }
        self.inter_feat = TargetRows(columns, target_index)

    def sort(self, by, ascending=True):
        if by == self.time_field and self.exact_times is not None and TARGET_INDEX in self.inter_feat:
            self.inter_feat._reindex(self._exact_times_of_rows().argsort(stable=True))
        else:
            super().sort(by, ascending)

    def _exact_times_of_rows(self) -> Tensor:
        return self.exact_times[self.inter_feat[TARGET_INDEX]]

    def __getitem__(self, index, join=True):
        if not isinstance(self.inter_feat, TargetRows):
            return super().__getitem__(index, join)
        rows = self.inter_feat[index].gathered()
        if join:
            self.join(rows)
        length = rows[self.item_list_length_field]
        start = rows[TARGET_INDEX] - length
        for field in self.interactions:
            if field != self.uid_field:
                list_field = getattr(self, f"{field}_list_field")
                rows[list_field] = gather_padded(self.interactions[field], start, length, self.max_item_list_len)
        if self.times is not None:
            list_field = self.time_field + self.config["LIST_SUFFIX"]
            rows[list_field] = gather_padded(self.times, start, length, self.max_item_list_len)
        return rows

    def inter_matrix(self, form="coo", value_field=None):
        """Interactions of this split and the first ones of its users, as a scipy matrix ``[user_num, item_num]``."""
        if TARGET_INDEX not in self.inter_feat:  # benchmark files
            return super().inter_matrix(form, value_field)
        index = self.inter_feat[TARGET_INDEX]
        first = index[self.seen_before(index)[1] == 1] - 1
        rows = self.interactions[torch.cat([index, first])]
        return self._create_sparse_matrix(rows, self.uid_field, self.iid_field, form, value_field)

    def counter(self, field):
        """How often each token of a column occurs in the rows of this split and in the first interactions of users.

        On the training split these are all training interactions, the same as for a model that is not sequential.
        """
        if TARGET_INDEX not in self.inter_feat or field not in self.interactions:
            return super().counter(field)
        index = torch.cat([self._first_interactions(), self.inter_feat[TARGET_INDEX]])
        tokens, count = self.interactions[field][index].unique(return_counts=True)
        return Counter(dict(zip(tokens.tolist(), count.tolist())))

    def _first_interactions(self) -> Tensor:
        """Indices of the first interactions of all users; where the split is one moment, of those up to the last row."""
        first = self.first_of_user[self.interactions[self.uid_field].unique()]
        split_by = self.config["eval_args"]
        if "LS" in split_by["split"] or str(split_by["group_by"]).lower() == "user" or not self._in_time_order:
            return first
        times = self.exact_times
        return first[times[first] <= times[self.inter_feat[TARGET_INDEX]].max()]

    def seen_before(self, target_index: Tensor) -> tuple[Tensor, Tensor]:
        """Start in ``interactions``, and number, of the interactions of the same user before each target."""
        start = self.first_of_user[self.interactions[self.uid_field][target_index]]
        return start, target_index - start

    def training_spans(self) -> tuple[Tensor, Tensor]:
        """First and last training interaction, in ``interactions``, of each user who has a row in this split.

        Returns:
            Two tensors ``[B]``, in the order of the users' ids.
        """
        last = torch.full((self.user_num,), -1)
        last.scatter_reduce_(0, self.inter_feat[self.uid_field], self.inter_feat[TARGET_INDEX], "amax")
        trained = last >= 0
        return self.first_of_user[trained], last[trained]

    def training_sequences(self) -> tuple[Tensor, Tensor]:
        """Whole training sequences with their first items and without any item of validation or test.

        These are the interactions that ``inter_matrix`` counts: users without a training target are left out. Call it
        on the training split, which a model gets as its data set.

        Returns:
            Item ids ``[M]``, sequence by sequence in time order, and the lengths ``[B]``; in the order of the users'
            ids.

        Raises:
            ConfigError: ``benchmark_filename`` names files of rows, from which no sequence can be told.
        """
        if self.benchmark_filename_list is not None:
            raise ConfigError(
                f"{self.config['model']} needs whole sequences, and benchmark_filename names files of rows; expected "
                f"one file of interactions, {self._inter_file}"
            )
        first, last = self.training_spans()
        length = last - first + 1
        return gather_ragged(self.interactions[self.iid_field], first, length)[1], length
