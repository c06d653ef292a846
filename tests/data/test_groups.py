"""Groups and splits against RecBole's own loops."""

import logging

import numpy as np
import pytest
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction

from recbole_sigma.data.dataset import OrderedDataset, SequenceDataset
from recbole_sigma.data.groups import group_rows, leave_out_counts, sort_rows


def random_key(seed):
    generator = np.random.default_rng(seed)
    return generator.integers(0, generator.integers(1, 40), generator.integers(1, 200))


def dataset_of(kind, key, order="RO"):
    dataset = object.__new__(kind)
    dataset.__dict__.update(
        config={"eval_args": {"order": order}, "unused_col": None},
        benchmark_filename_list=None,
        logger=logging.getLogger("test"),
        inter_feat=Interaction({"user_id": torch.from_numpy(key), "row": torch.arange(len(key))}),
    )
    return dataset


def rows_of(parts):
    return [part.inter_feat["row"].tolist() for part in parts]


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_those_of_recbole(seed):
    key = random_key(seed)
    expected = Dataset._grouped_index(None, key)
    assert [rows.tolist() for rows in group_rows(key)] == list(expected)


@pytest.mark.parametrize("highest", [3, 1_000_000])
def test_rows_are_sorted_and_equal_ones_keep_their_order(highest):
    key = np.random.default_rng(0).integers(0, highest, 500)
    rows, count = sort_rows(key, highest)
    np.testing.assert_array_equal(rows, np.argsort(key, kind="stable"))
    np.testing.assert_array_equal(count, np.bincount(key, minlength=highest))


@pytest.mark.parametrize("mode", ["valid_and_test", "valid_only", "test_only"])
@pytest.mark.parametrize("kinds", [(OrderedDataset, Dataset), (SequenceDataset, SequentialDataset)])
def test_leave_one_out_is_that_of_recbole(mode, kinds):
    for seed in range(10):
        own, stock = (rows_of(dataset_of(kind, random_key(seed)).leave_one_out("user_id", mode)) for kind in kinds)
        assert own == stock


def test_in_time_order_a_users_first_row_is_never_held_out():
    for seed in range(10):
        key = random_key(seed)
        found = rows_of(dataset_of(OrderedDataset, key, order="TO").leave_one_out("user_id", "valid_and_test"))
        groups = list(Dataset._grouped_index(None, key))
        expected = Dataset._split_index_by_leave_one_out(None, [rows[1:] for rows in groups if rows[1:]], 2)
        expected[0] += [rows[0] for rows in groups]
        assert found == expected


@pytest.mark.parametrize("ratios", [[8, 1, 1], [0.6, 0.2, 0.2], [0.5, 0.0, 0.5], [1, 1]])
@pytest.mark.parametrize("group_by", ["user_id", None])
def test_splits_by_ratio_are_those_of_recbole(ratios, group_by):
    for seed in range(10):
        own, stock = (
            rows_of(dataset_of(kind, random_key(seed)).split_by_ratio(ratios, group_by))
            for kind in (OrderedDataset, Dataset)
        )
        assert own == stock


def test_a_group_keeps_its_first_row_in_training():
    assert leave_out_counts(np.array([1, 2, 3, 9]), 2).tolist() == [[1, 0, 0], [1, 0, 1], [1, 1, 1], [7, 1, 1]]
