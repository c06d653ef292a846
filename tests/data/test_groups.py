"""Groups and splits, compared with RecBole's own loops."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction

from recbole_sigma.data.ordered_dataset import OrderedDataset
from recbole_sigma.data.sequence_dataset import SequenceDataset
from recbole_sigma.data.groups import group_rows, leave_out_counts, sort_rows


KEYS = st.lists(st.integers(0, 12), min_size=1, max_size=60).map(lambda key: np.array(key, dtype=np.int64))
MODES = ["valid_and_test", "valid_only", "test_only"]
RATIOS = [[8, 1, 1], [0.6, 0.2, 0.2], [0.5, 0.0, 0.5], [1, 1]]


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


@given(KEYS)
def test_groups_are_those_of_recbole(key):
    expected = Dataset._grouped_index(None, key)
    assert [rows.tolist() for rows in group_rows(key)] == list(expected)


@pytest.mark.parametrize("highest", [3, 1_000_000])
def test_rows_are_sorted_and_equal_ones_keep_their_order(highest):
    key = np.random.default_rng(0).integers(0, highest, 500)
    rows, count = sort_rows(key, highest)
    np.testing.assert_array_equal(rows, np.argsort(key, kind="stable"))
    np.testing.assert_array_equal(count, np.bincount(key, minlength=highest))


@given(KEYS, st.sampled_from(MODES))
def test_leave_one_out_is_that_of_recbole(key, mode):
    for kinds in [(OrderedDataset, Dataset), (SequenceDataset, SequentialDataset)]:
        own, stock = (rows_of(dataset_of(kind, key).leave_one_out("user_id", mode)) for kind in kinds)
        assert own == stock


@given(KEYS)
def test_the_first_row_of_a_user_is_never_held_out_in_time_order(key):
    found = rows_of(dataset_of(OrderedDataset, key, order="TO").leave_one_out("user_id", "valid_and_test"))
    groups = list(Dataset._grouped_index(None, key))
    expected = Dataset._split_index_by_leave_one_out(None, [rows[1:] for rows in groups if rows[1:]], 2)
    expected[0] += [rows[0] for rows in groups]
    assert found == expected


@given(KEYS, st.sampled_from(RATIOS), st.sampled_from(["user_id", None]))
def test_splits_by_ratio_are_those_of_recbole(key, ratios, group_by):
    own, stock = (rows_of(dataset_of(kind, key).split_by_ratio(ratios, group_by)) for kind in (OrderedDataset, Dataset))
    assert own == stock


def test_a_group_keeps_its_first_row_in_training():
    assert leave_out_counts(np.array([1, 2, 3, 9]), 2).tolist() == [[1, 0, 0], [1, 0, 1], [1, 1, 1], [7, 1, 1]]
