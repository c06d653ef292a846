"""Rows that gather their columns against an Interaction that holds them."""

import copy
import pickle

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_sigma.data.target_rows import HistoryLength, TargetIndex, TargetRows

USER = torch.tensor([1, 1, 1, 2, 2, 4, 4, 4, 4])
ITEM = torch.arange(10, 19)
TIME = torch.tensor([5.0, 6, 7, 1, 9, 2, 3, 4, 8])
TARGET = torch.tensor([1, 2, 4, 6, 7, 8])
LENGTH = torch.tensor([1, 2, 1, 1, 2, 2])  # of histories of at most 2


@pytest.fixture
def rows():
    length = HistoryLength(USER, torch.tensor([0, 0, 3, 5, 5]), longest=2)
    return TargetRows({"user": USER, "item": ITEM, "time": TIME, "length": length, "target": TargetIndex()}, TARGET)


@pytest.fixture
def held():
    columns = {"user": USER[TARGET], "item": ITEM[TARGET], "time": TIME[TARGET]}
    return Interaction({**columns, "length": LENGTH, "target": TARGET})


def assert_equal(rows, held):
    assert rows.columns == held.columns and len(rows) == len(held)
    for name in held:
        assert name in rows and torch.equal(rows[name], held[name]), name


INDICES = [[3, 0], [], slice(1, 4), torch.tensor([5, 5, 2]), np.array([4, 1]), (torch.tensor([0, 2]),), 3]


@pytest.mark.parametrize("index", INDICES, ids=map(str, INDICES))
def test_parts_have_the_rows_of_their_index(rows, held, index):
    part = rows[index]
    assert isinstance(part, TargetRows)
    assert_equal(part, held[index])
    assert_equal(part.gathered(), held[index])


def test_rows_can_be_sorted_and_shuffled(rows, held):
    rows.sort("time")
    held.sort("time")
    assert_equal(rows, held)
    for either in (rows, held):
        torch.manual_seed(0)
        either.shuffle()
    assert_equal(rows, held)


def test_columns_can_be_set_and_dropped(rows, held):
    for either in (rows, held):
        torch.manual_seed(0)
        either["item"] = torch.arange(6)
        either["new"] = torch.arange(6) * 10
        either.drop("time")
        either.drop("new")
        either["new"] = torch.arange(6) * 100
        either.shuffle()
    assert "time" not in rows
    for name in held:
        assert torch.equal(rows[name], held[name])
    part = rows[[1, 3]]
    assert part["new"].tolist() == held[[1, 3]]["new"].tolist() and set(part.columns) == set(held.columns)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda rows: pickle.loads(pickle.dumps(rows))])
def test_rows_can_be_copied_and_pickled(rows, held, again):
    assert_equal(again(rows), held)
    assert_equal(again(rows).to("cpu"), held)
