"""Histories from files of any size in any order, compared with sorting everything in memory."""

import numpy as np
import pandas as pd
import pytest
import torch

import recbole_sigma
from recbole_sigma.data.tables import Columns
from recbole_sigma.errors import DataError
from recbole_sigma.recommend import grouping, histories
from recbole_sigma.recommend.grouping import Interactions, whole_users
from recbole_sigma.recommend.histories import HistoryFile
from tests.memory import measured, reads_proc


@pytest.fixture(scope="module")
def rec(trained):
    return recbole_sigma.load(trained, device="cpu")


def random_rows(num_rows, num_users, seed=0):
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user_id": [f"user {n}" for n in generator.integers(num_users, size=num_rows)],
            "item_id": [f"i{n}" for n in generator.integers(45, size=num_rows)],  # 40 and more are not known
            "timestamp": generator.integers(20, size=num_rows) * 0.25 + 1.7e9,  # with ties
        }
    )


def write(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        types = {"user_id": "token", "item_id": "token", "timestamp": "float"}
        frame.rename(columns=lambda name: f"{name}:{types[name]}").to_csv(path, sep="\t", index=False)


def by_hand(frame):
    """Items of each user, in the order of time and then of the file."""
    found = {}
    for user, item in frame.sort_values("timestamp", kind="stable")[["user_id", "item_id"]].itertuples(index=False):
        found.setdefault(user, []).append(item)
    return found


@pytest.mark.parametrize("suffix", [".inter", ".csv", ".parquet"])
def test_a_file_gives_what_its_histories_give(rec, tmp_path, monkeypatch, suffix):
    """In memory at once, and divided on the disk."""
    frame = random_rows(1500, 70)
    write(frame, tmp_path / f"rows{suffix}")
    expected = by_hand(frame)
    recommended = rec.recommend(list(expected.values()), k=5)
    for rows in (10_000, 100):
        monkeypatch.setattr(histories, "ROWS", rows)
        found = dict(rec.recommend_users(tmp_path / f"rows{suffix}", k=5))
        assert found.keys() == expected.keys()
        for (user, own), one in zip(expected.items(), recommended):
            assert found[user].unknown == one.unknown == sum(int(item[1:]) >= 40 for item in own)
            assert found[user].scores == pytest.approx(one.scores, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("rows", [10_000, 100])
def test_histories_have_the_times_of_the_file_to_the_last_digit(rec, tmp_path, monkeypatch, rows):
    monkeypatch.setattr(histories, "ROWS", rows)
    frame = random_rows(800, 40)
    frame["timestamp"] += np.random.default_rng(1).random(len(frame))
    write(frame, tmp_path / "rows.csv")
    ordered = frame[frame["item_id"].str[1:].astype(int) < 40].sort_values("timestamp", kind="stable")
    expected = {user: own["timestamp"].tolist() for user, own in ordered.groupby("user_id")}
    found = {}
    for everyone in rec.read(tmp_path / "rows.csv"):
        for part in everyone.batches(7):
            assert part.times.dtype == torch.float64
            found.update(zip(part.users, (times.tolist() for times in part.times.split(part.lengths.tolist()))))
    assert found == expected
    for everyone in HistoryFile(tmp_path / "rows.csv", Columns("user_id", "item_id"), rec.catalog):
        assert all(part.times is None for part in everyone.batches(7))


def test_users_of_a_small_file_come_in_its_order(rec, tmp_path):
    frame = random_rows(300, 20)
    write(frame, tmp_path / "rows.csv")
    assert [user for user, _ in rec.recommend_users(tmp_path / "rows.csv")] == list(pd.unique(frame["user_id"]))


def test_other_names_and_rows_in_order_of_time(rec, tmp_path):
    frame = random_rows(300, 20).sort_values("timestamp", kind="stable")
    write(frame, tmp_path / "timed.csv")
    frame = frame.rename(columns={"user_id": "customer", "item_id": "sku"}).drop(columns="timestamp")
    frame.to_csv(tmp_path / "ordered.csv", index=False)
    ordered = rec.recommend_users(tmp_path / "ordered.csv", k=3, columns=Columns("customer", "sku"))
    assert dict(ordered) == dict(rec.recommend_users(tmp_path / "timed.csv", k=3))


def test_a_file_with_the_layout_of_the_training_is_read(toy_path, tmp_path, monkeypatch):
    """Another encoding and another separator."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin").mkdir()
    text = (toy_path / "toy" / "toy.inter").read_text().replace("u1", "\u00fc1").replace("\t", "::")
    text = text.replace("user_id:token::item_id:token::", "user_id:token::item_id:token::")
    (tmp_path / "latin" / "latin.inter").write_text(text, encoding="latin-1")
    settings = {
        "data_path": str(tmp_path),
        "encoding": "latin-1",
        "field_separator": "::",
        "epochs": 1,
        "state": "error",
    }
    result = recbole_sigma.run_recbole_sigma("SASRecAP", "latin", config_dict={**settings, "hidden_size": 8})
    users = dict(recbole_sigma.load(result["checkpoint"]).recommend_users(tmp_path / "latin" / "latin.inter"))
    assert len(users) == 60 and "\u00fc1" in users


def test_a_file_without_rows_is_refused(rec, tmp_path):
    (tmp_path / "empty.csv").write_text("user_id,item_id,timestamp\n")
    with pytest.raises(DataError, match="empty.csv has a header and no rows"):
        list(rec.recommend_users(tmp_path / "empty.csv"))


def test_a_number_of_items_is_checked_before_the_file_is_read(rec, tmp_path):
    with pytest.raises(ValueError, match="k is 0"):
        rec.recommend_users(tmp_path / "none.csv", k=0)


@pytest.mark.parametrize("most, num_users", [(1, 1), (1, 80), (7, 5), (50, 80), (1000, 80)])
def test_parts_have_whole_users_in_their_order(most, num_users):
    generator = np.random.default_rng(most)
    users = np.array([f"ü{n}" + "\0" * (n % 3) for n in generator.integers(num_users, size=200)], dtype=object)
    everything = Interactions(users, np.arange(200), generator.random(200))
    blocks = (Interactions(*(part[start : start + 40] for part in everything)) for start in range(0, 200, 40))
    seen, rows = set(), []
    for part in whole_users(blocks, most):
        own = set(part.user)
        assert not own & seen and (len(own) == 1 or len(part.user) <= most + 40)
        seen |= own
        assert (np.diff(part.item) > 0).all()
        np.testing.assert_array_equal(part.user, users[part.item])
        np.testing.assert_array_equal(part.time, everything.time[part.item])
        rows.extend(part.item)
    assert sorted(rows) == list(range(200))


def test_temporary_files_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    block = Interactions(np.array(list("abcdefgh"), dtype=object), np.arange(8), np.zeros(8))
    parts = whole_users(iter([block] * 50), most=20)
    next(parts)
    assert list(tmp_path.iterdir())
    parts.close()
    assert not list(tmp_path.iterdir())
    assert grouping.FAN_OUT**grouping.LEVELS <= 2**64


PROGRAM = """
import sys
from functools import partial
import recbole_sigma
from recbole_sigma.recommend import histories
histories.ROWS = 5_000
histories.read_table = partial(histories.read_table, rows=5_000)
rec = recbole_sigma.load(sys.argv[1], device="cpu")
assert sum(1 for _ in rec.recommend_users(sys.argv[2], k=5)) == 4_000
before = resident("VmHWM")
assert sum(1 for _ in rec.recommend_users(sys.argv[3], k=5)) == 40_000
print(resident("VmHWM") - before)
"""


@reads_proc
def test_memory_does_not_grow_with_the_users(trained, tmp_path):
    """Ten times as many users need as much as the first ones, of which some are on the disk as well."""
    for num_users in (4_000, 40_000):
        frame = pd.concat([random_rows(num_users, num_users), random_rows(num_users, num_users)])
        frame["user_id"] = np.arange(len(frame)) % num_users
        write(frame, tmp_path / f"{num_users}.csv")
    assert measured(PROGRAM, trained, tmp_path / "4000.csv", tmp_path / "40000.csv") < 10e6
