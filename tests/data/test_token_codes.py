"""Tokens as codes against pandas and against RecBole's own methods on strings."""

import logging

import numpy as np
import pandas as pd
import pytest
from recbole.data.dataset import Dataset
from recbole.utils import FeatureType

from recbole_sigma.data import token_codes
from recbole_sigma.data.dataset import OrderedDataset
from recbole_sigma.errors import DataError

INTERVALS = [None, "[2,inf)", "[3,inf)", "(1,4]", "[0,2)", "[1,2];[5,inf)", "(2,2)"]


def random_tokens(generator, prefix, count, different, missing=0.0):
    names = np.array([f"{prefix}{number}" for number in range(different)], dtype=object)
    tokens = names[np.minimum(generator.geometric(0.15, count), different) - 1]
    tokens[generator.random(count) < missing] = np.nan
    return tokens


def part_of_a_dataset(kind, **attributes):
    """A data set with nothing but what one of its methods reads."""
    dataset = object.__new__(kind)
    dataset.__dict__.update(logger=logging.getLogger("test"), **attributes)
    return dataset


@pytest.mark.parametrize("rows", [3, 7, 1000])
@pytest.mark.parametrize("line_end, last", [("\n", "\n"), ("\r\n", ""), ("\n", "\n\n\n")])
def test_columns_are_what_pandas_reads(tmp_path, monkeypatch, rows, line_end, last):
    monkeypatch.setattr(token_codes, "ROWS", rows)
    generator = np.random.default_rng(rows)
    table = [["user_id:token", "x:float", "words:token_seq", "item_id:token"]]
    for user, item in zip(random_tokens(generator, "u", 50, 9, 0.1), random_tokens(generator, "", 50, 20, 0.1)):
        table.append(["" if pd.isna(user) else user, repr(generator.normal()), "a b", "NA" if pd.isna(item) else item])
    table[20][1] = ""
    path = tmp_path / "toy.inter"
    path.write_bytes((line_end.join("\t".join(row) for row in table) + last).encode())
    settings = {"delimiter": "\t", "usecols": table[0][:2] + table[0][3:], "engine": "c"}
    settings["dtype"] = {name: float if name == "x:float" else str for name in settings["usecols"]}
    frame, expected = token_codes.read_columns(pd.read_csv, path, **settings), pd.read_csv(path, **settings)
    assert list(frame) == list(expected) and len(frame) == 50 and frame.index.equals(expected.index)
    np.testing.assert_array_equal(frame["x:float"], expected["x:float"])
    for name in ("user_id:token", "item_id:token"):
        assert token_codes.is_categorical(frame[name])
        pd.testing.assert_series_equal(frame[name].astype(object), expected[name].astype(object))


def test_a_file_without_rows_has_columns(tmp_path):
    path = tmp_path / "toy.inter"
    path.write_text("user_id:token\tx:float\n")
    dtype = {"user_id:token": str, "x:float": float}
    frame = token_codes.read_columns(pd.read_csv, path, dtype=dtype, delimiter="\t")
    assert list(frame) == list(dtype) and frame.empty


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("categories", ["all", "some", "none"])
def test_ids_and_tokens_are_those_of_recbole(seed, categories):
    """Of columns of one or several files that share their ids, as those of users, or of items and their aliases."""
    generator = np.random.default_rng(seed)
    own, stock = (part_of_a_dataset(kind, field2id_token={}, field2token_id={}) for kind in (OrderedDataset, Dataset))
    tokens = [
        random_tokens(generator, prefix, int(generator.integers(1, 60)), 15, missing)
        for prefix, missing in [("t", 0), ("t", 0.2), ("", 0), ("t", 1.0)][: generator.integers(1, 5)]
    ]
    fields = ["a", "a", "b", "c"][: len(tokens)]
    expected = [pd.DataFrame({field: pd.Series(column, dtype=object)}) for field, column in zip(fields, tokens)]
    found = [frame.copy() for frame in expected]
    for number, (frame, field) in enumerate(zip(found, fields)):
        if categories == "all" or categories == "some" and number % 2:
            frame[field] = frame[field].astype("category")
    for dataset, frames in [(own, found), (stock, expected)]:
        dataset._remap([(frame, field, FeatureType.TOKEN) for frame, field in zip(frames, fields)])
    for frame, expected_frame in zip(found, expected):
        pd.testing.assert_frame_equal(frame, expected_frame)
    for field in set(fields):
        assert own.field2id_token[field].dtype == stock.field2id_token[field].dtype
        np.testing.assert_array_equal(own.field2id_token[field], stock.field2id_token[field])
        assert own.field2token_id[field] == stock.field2token_id[field]


@pytest.mark.parametrize("seed", range(60))
def test_the_rows_left_by_intervals_of_counts_are_those_of_recbole(seed):
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 120))
    inter = pd.DataFrame(
        {
            "user_id": random_tokens(generator, "u", count, int(generator.integers(2, 30))),
            "item_id": random_tokens(generator, "i", count, int(generator.integers(2, 30))),
            "row": np.arange(count),
        },
        index=np.sort(generator.choice(1000, count, replace=False)),
    )
    features = {
        field: pd.DataFrame({field: generator.permutation([f"{field[0]}{n}" for n in range(35)])[:25]}, dtype=object)
        for field in ("user_id", "item_id")
        if generator.random() < 0.5
    }
    config = {f"{kind}_inter_num_interval": INTERVALS[generator.integers(len(INTERVALS))] for kind in ("user", "item")}
    results = []
    for kind, dtype in [(OrderedDataset, "category"), (OrderedDataset, object), (Dataset, object)]:
        frames = [inter, features.get("user_id"), features.get("item_id")]
        frames = [frame if frame is None else frame.copy() for frame in frames]
        for frame in frames:
            for field in [] if frame is None else {"user_id", "item_id"} & set(frame):
                frame[field] = frame[field].astype(dtype)
        dataset = part_of_a_dataset(
            kind, config=config, uid_field="user_id", iid_field="item_id", dataset_name="toy", inter_feat=frames[0]
        )
        dataset.user_feat, dataset.item_feat = frames[1:]
        try:
            dataset._filter_by_inter_num()
        except DataError:  # that nothing is left
            assert kind is OrderedDataset and dataset.inter_feat.empty
        left = [dataset.inter_feat["row"].tolist()]
        for field, feat in [("user_id", dataset.user_feat), ("item_id", dataset.item_feat)]:
            left.append(None if feat is None else feat[field].tolist())
        results.append(left)
    assert results[0] == results[1] == results[2]


def test_means_of_counts_are_those_of_recbole():
    ids = np.array([1, 4, 4, 2, 4, 1])
    frame = pd.DataFrame({"user_id": ids, "item_id": ids[::-1]})
    own, stock = (
        part_of_a_dataset(kind, uid_field="user_id", iid_field="item_id", inter_feat=frame)
        for kind in (OrderedDataset, Dataset)
    )
    assert own.avg_actions_of_users == stock.avg_actions_of_users == 2.0
    assert own.avg_actions_of_items == stock.avg_actions_of_items
