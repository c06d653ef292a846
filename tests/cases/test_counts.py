"""Numbers that count items, from counts of the rows of the files."""

import math
from collections import Counter

import pytest
import recbole
from pathlib import Path

from recbole_sigma import run_recbole_sigma
from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders
from recbole_sigma.quick_start import build_run
from tests.cases.made_up import base, write_atomic

ML_100K = Path(recbole.__file__).parent / "dataset_example" / "ml-100k" / "ml-100k.inter"
SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10, "epochs": 1, "state": "error"}


def by_user(rows):
    """Items of each user in time order."""
    users = {}
    for user, item, time in sorted(rows, key=lambda row: float(row[2])):
        users.setdefault(user, []).append(item)
    return users


def training_counts(rows):
    """How often each item is in the training data if the last two items of each user are held out, but never the first."""
    return Counter(item for items in by_user(rows).values() for item in items[: max(1, len(items) - 2)])


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {**SMALL, "data_path": str(write_atomic(tmp_path, base()))}


@pytest.mark.parametrize("batch", [None, 16, 60_000])
def test_case_01_pop_counts_every_interaction(tmp_path, monkeypatch, batch):
    """Of a user, items with more training interactions than the target are before it, and those with as many either."""
    monkeypatch.chdir(tmp_path)
    rows = [line.split("\t") for line in ML_100K.read_text().splitlines()[1:]]
    settings = {"epochs": 1, "state": "error", "metric_decimal_place": 6}
    if batch:
        settings["train_batch_size"] = batch
    config = Config("Pop", "ml-100k", config_dict=settings)
    kept = create_dataset(config)
    users, items = (set(kept.field2id_token[field][1:]) for field in ("user_id", "item_id"))
    rows = [(row[0], row[1], row[3]) for row in rows if row[0] in users and row[1] in items]
    counts, worst, best = training_counts(rows), 0, 0
    for seen in by_user(rows).values():
        target, seen = seen[-1], set(seen[:-1])
        above = sum(count > counts[target] for item, count in counts.items() if item not in seen)
        equal = sum(count == counts[target] for item, count in counts.items() if item not in seen | {target})
        best += above < 20
        worst += above + equal < 20
    recall = run_recbole_sigma("Pop", "ml-100k", config_dict=settings)["test_result"]["recall@20"]
    assert worst / len(users) <= recall + 1e-6 and recall <= best / len(users) + 1e-6
    assert 0.136 < recall < 0.139
