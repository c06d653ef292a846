"""Batches of whole training sequences, and evaluation rows with one rule for items seen before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import getLogger

import torch
from recbole.data.dataloader import FullSortEvalDataLoader, NegSampleEvalDataLoader
from recbole.sampler import Sampler
from recbole.sampler.sampler import AbstractSampler
from recbole.utils import EvaluatorType
from torch import Tensor

from recbole_sigma.data.seen import KEPT, RECBOLE, REMOVED, UnderRule, rule_of, seen_before
from recbole_sigma.data.sequences import windows
from recbole_sigma.data.target_rows import TARGET_INDEX
from recbole_sigma.errors import DataError
from recbole_sigma.layers.packing import Packing, TrainingBatch
from recbole_sigma.ops.transfer import to_device


class SequenceDataLoader:
    """Packed training sequences of random users, with the next item as the target of every position.

    A batch has ``train_batch_size`` sequences. With ``train_batch_tokens`` it has as many as fit into that number of
    items, or one that is longer. The order of the sequences is drawn for each epoch. Sequences longer than
    ``MAX_ITEM_LIST_LENGTH`` are split so that every item but the first is a target once. The items are on the device of
    the training, where batches are gathered by index.

    Attributes:
        dataset: the training rows.
        generator: what everything random about an epoch is drawn from, when the epoch begins.
        targets_per_batch: mean number of targets. The sum of the losses of a batch is divided by it, so that every
            target weighs the same.
    """

    def __init__(self, config, dataset, shuffle=True):
        self.dataset = dataset
        self.device = config["device"]
        self.shuffle = shuffle
        self.generator = torch.Generator().manual_seed(config["seed"])
        self.max_length = config["MAX_ITEM_LIST_LENGTH"]
        self.items = dataset.interactions[dataset.iid_field].to(self.device)
        self.times = None if dataset.times is None else dataset.times.to(self.device)
        self.users = dataset.interactions[dataset.uid_field] if config.model_class.reads_users else None
        self.batch_size, self.batch_tokens = config["train_batch_size"], config["train_batch_tokens"]
        self._prepare(config)
        length = self._draw(torch.Generator().manual_seed(config["seed"]))[1]
        self.num_batches = len(self._split(torch.arange(len(length)), length))
        self.targets_per_batch = self._num_targets / self.num_batches

    def __len__(self):
        """Number of batches in an epoch; with ``train_batch_tokens``, approximately."""
        return self.num_batches

    def __iter__(self):
        return self.batches()

    def batches(self, first: int = 0) -> Iterator[TrainingBatch]:
        """The batches of an epoch from number ``first`` on; earlier ones are drawn and not gathered."""
        order = torch.arange(self._num_sequences)
        if self.shuffle:
            order = torch.randperm(len(order), generator=self.generator)
        start, length = self._draw(self.generator)
        return (self._batch(start[rows], length[rows]) for rows in self._split(order, length)[first:])

    def _prepare(self, config) -> None:
        self._start, self._length = windows(*self.dataset.training_spans(), self.max_length)

    @property
    def _num_sequences(self) -> int:
        return len(self._start)

    @property
    def _num_targets(self) -> int:
        return int(self._length.sum())

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Start and number of the inputs of each sequence in one epoch."""
        return self._start, self._length

    def _split(self, order: Tensor, length: Tensor) -> tuple[Tensor, ...]:
        """The sequences of each batch, of which ``length`` has the number of items."""
        if self.batch_tokens is None:
            return order.split(self.batch_size)
        return order.split(_fill(length[order].tolist(), self.batch_tokens))

    def _batch(self, start: Tensor, length: Tensor) -> TrainingBatch:
        packing = Packing(length, self.device)
        index = packing.repeat(start) + packing.position
        fields = {}
        if self.times is not None:
            fields["times"] = self.times[index]
        if self.users is not None:
            fields["users"] = to_device(self.users[start], self.device)
        return TrainingBatch(self.items[index], packing, *self._targets(index, packing), fields)

    def _targets(self, index: Tensor, packing: Packing) -> tuple[Tensor, Tensor | None]:
        """Ids of the targets, and the positions that have one, given where the inputs are in ``items``."""
        return self.items[index + 1], None


class CutLoader(SequenceDataLoader):
    """One target per sequence and epoch: the item at a random cut, after a history of the items before it.

    The cut is uniform over the positions that have at least ``min_history`` training items before them. The history is
    the last ``MAX_ITEM_LIST_LENGTH`` of these items. Sequences without such a position are left out. Cuts are drawn
    from the generator with the order of the epoch.
    """

    def _prepare(self, config) -> None:
        least = config["min_history"]
        first, last = self.dataset.training_spans()
        long_enough = last - first >= least
        left_out = int((~long_enough).sum())
        if left_out == len(first):
            raise DataError(
                f"no training sequence of {self.dataset.dataset_name!r} has an item after its first {least}; expected "
                "a smaller min_history, or train_targets: all"
            )
        if left_out:
            getLogger().info(
                f"train_targets: cut leaves out {left_out:,} of {len(first):,} training sequences, which have no item "
                f"after their first {least} (min_history)"
            )
        self._first, self._earliest_cut = first[long_enough], first[long_enough] + least
        self._num_cuts = last[long_enough] - self._earliest_cut + 1

    @property
    def _num_sequences(self) -> int:
        return len(self._first)

    @property
    def _num_targets(self) -> int:
        return len(self._first)

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        fraction = torch.rand(len(self._first), dtype=torch.float64, generator=generator)
        cut = self._earliest_cut + (fraction * self._num_cuts).long()
        start = torch.maximum(cut - self.max_length, self._first)
        return start, cut - start

    def _targets(self, index: Tensor, packing: Packing) -> tuple[Tensor, Tensor | None]:
        return self.items[index[packing.last] + 1], packing.last


def _fill(lengths, most):
    """Numbers of consecutive sequences with at most ``most`` items in total, or with one longer sequence."""
    sizes, room = [], 0
    for length in lengths:
        if length > room:
            sizes.append(0)
            room = most
        sizes[-1] += 1
        room -= length
    return sizes


class FullSortLoader(UnderRule, FullSortEvalDataLoader):
    """Evaluation rows that rank the whole catalog, ``eval_batch_size`` at a time for models of every type.

    What users had before is found in the same way for every model, and the rule says what is done with it.
    """

    def __init__(self, config, dataset, sampler, earlier=()):
        """
        Args:
            sampler: knows the items of users, for models that are not sequential.
            earlier: the splits before, for the same models.
        """
        self.rule, self.seen = rule_of(config), seen_before(config, dataset, earlier)
        super().__init__(config, dataset, sampler)

    def _init_batch_size_and_step(self):
        self.step = self.config["eval_batch_size"]
        self.set_batch_size(self.step)

    def collate_fn(self, index):
        interaction, _, positive_row, positive_item = super().collate_fn(index)
        return interaction, self._left_out(interaction, positive_row, positive_item), positive_row, positive_item

    def list_of_targets(self) -> Tensor:
        """Number of the ranked list of each row of the data set: its own, or for other models one for each user."""
        rows = self._dataset.inter_feat
        return torch.arange(len(rows)) if self.is_sequential else rows[self.uid_field]

    def _left_out(self, interaction, positive_row: Tensor, positive_item: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.rule == KEPT:
            return None
        row, item = self.seen.pairs(interaction)
        if self.rule == RECBOLE:
            num_items = self._dataset.item_num
            other = ~torch.isin(row * num_items + item, positive_row * num_items + positive_item)
            row, item = row[other], item[other]
        return row, item


class SampledLoader(UnderRule, NegSampleEvalDataLoader):
    """Evaluation rows that rank the targets of a user among sampled items, or that have labels.

    Where items seen before are removed, a target that the user had before is no candidate, and so a miss. Metrics of
    single pairs, such as AUC and LogLoss, rank nothing: for them every target stays.
    """

    def __init__(self, config, dataset, sampler_of: Callable[[str], AbstractSampler], earlier=()):
        """
        Args:
            sampler_of: gives what draws the candidates under a rule.
            earlier: the splits before, for models that are not sequential.
        """
        self.rule, self.seen = rule_of(config), seen_before(config, dataset, earlier)
        self._sampler_of = sampler_of
        super().__init__(config, dataset, sampler_of(self.rule))

    @contextmanager
    def under(self, rule):
        own, self._sampler = self._sampler, self._sampler_of(rule)
        try:
            with super().under(rule):
                yield
        finally:
            self._sampler = own

    def collate_fn(self, index):
        candidates, row, positive_row, positive_item = super().collate_fn(index)
        if self.rule == REMOVED and row is not None and self.config["eval_type"] == EvaluatorType.RANKING:
            left = ~self._repeated_targets(candidates, row)
            candidates, row = candidates[left], row[left]
        return candidates, row, positive_row, positive_item

    def list_of_targets(self) -> Tensor:
        """Number of the ranked list of each row of the data set: one for each user."""
        return self._dataset.inter_feat[self.uid_field]

    def _repeated_targets(self, candidates, row: Tensor) -> Tensor:
        """Which candidates are targets that the user had before; the targets of a row are the first candidates."""
        count = row.bincount()
        place = torch.arange(len(row)) - (count.cumsum(0) - count)[row]
        repeated = place < (count // self.times)[row]
        repeated[repeated.clone()] = self.seen.repeated(candidates[repeated])
        return repeated


class SeenItemsSampler(Sampler):
    """Draws evaluation negatives among the items that a user has not interacted with up to the phase.

    RecBole's sampler knows the targets of the data sets only. The first item of a user is no target of a sequential
    data set, and the lists of rows that were split in advance may have items that are no targets.
    """

    def __init__(self, phases, datasets, distribution, list_field):
        """
        Args:
            list_field: column of the lists of items in rows that were split in advance.
        """
        self._list_field = list_field
        super().__init__(phases, datasets, distribution)

    def get_used_ids(self):
        used = super().get_used_ids()
        for number, phase in enumerate(self.phases):
            for user, item in self._pairs_without_row(self.datasets[: number + 1]):
                used[phase][user].add(item)
        return used

    def _pairs_without_row(self, datasets) -> list[list[int]]:
        """User and item of the interactions up to a phase that are no targets."""
        dataset = datasets[0]
        if TARGET_INDEX in dataset.inter_feat:
            first = dataset.first_of_user[dataset.interactions[dataset.uid_field].unique()]
            pairs = [dataset.interactions[field][first] for field in (self.uid_field, self.iid_field)]
            return torch.stack(pairs, 1).tolist()
        found = []
        for rows in (one.inter_feat for one in datasets if self._list_field in one.inter_feat):
            row, column = rows[self._list_field].nonzero(as_tuple=True)
            found.append(torch.stack([rows[self.uid_field][row], rows[self._list_field][row, column]], 1))
        return torch.cat(found).unique(dim=0).tolist() if found else []
