"""Tokens as codes, compared with pandas and with RecBole's own methods on strings."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recbole.data.dataset import Dataset
from recbole.utils import FeatureType

from recbole_sigma.data import token_codes
from recbole_sigma.data.ordered_dataset import OrderedDataset
from recbole_sigma.errors import DataError

INTERVALS = [None, "[2,inf)", "[3,inf)", "(1,4]", "[0,2)", "[1,2];[5,inf)", "(2,2)"]


MISSING = st.just(None)


def tokens(prefix="", different=12):
    """A strategy for tokens; without a prefix they look like numbers."""
    return st.integers(0, different - 1).map(lambda number: f"{prefix}{number}")


def part_of_a_dataset(kind, **attributes):
    """A data set with nothing but what one of its methods reads."""
    dataset = object.__new__(kind)
    dataset.__dict__.update(logger=logging.getLogger("test"), **attributes)
    return dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("token_codes")


@given(
    st.lists(st.tuples(tokens("u") | MISSING, st.none() | st.floats(-9, 9), tokens() | MISSING), min_size=1),
    st.sampled_from([1, 3, 7, 1000]),
    st.sampled_from([("\n", "\n"), ("\r\n", ""), ("\n", "\n\n\n")]),
)
def test_columns_are_what_pandas_reads(folder, rows, block, line_ends):
    """In blocks of any size, with empty lines at the end, and tokens that are missing: empty, or NA."""
    line_end, last = line_ends
    table = [["user_id:token", "x:float", "words:token_seq", "item_id:token"]]
    table += [[user or "", "" if x is None else repr(x), "a b", item or "NA"] for user, x, item in rows]
    path = folder / "toy.inter"
    path.write_bytes((line_end.join("\t".join(row) for row in table) + last).encode())
    settings = {"delimiter": "\t", "usecols": table[0][:2] + table[0][3:], "engine": "c"}
    settings["dtype"] = {name: float if name == "x:float" else str for name in settings["usecols"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_codes, "ROWS", block)
        frame = token_codes.read_columns(pd.read_csv, path, **settings)
    expected = pd.read_csv(path, **settings)
    assert list(frame) == list(expected) and len(frame) == len(rows) and frame.index.equals(expected.index)
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


@given(
    st.tuples(
        st.lists(tokens("t"), min_size=1),
        st.lists(tokens("t") | MISSING, min_size=1),
        st.lists(tokens(), min_size=1),
        st.lists(MISSING, min_size=1),
    ),
    st.integers(1, 4),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_ids_and_tokens_are_those_of_recbole(columns, count, categorical):
    """For columns of one or several files that share their ids, as those of users, or of items and their aliases."""
    own, stock = (part_of_a_dataset(kind, field2id_token={}, field2token_id={}) for kind in (OrderedDataset, Dataset))
    columns, fields = columns[:count], ["a", "a", "b", "c"][:count]
    expected = [
        pd.DataFrame({field: pd.Series(column, dtype=object).fillna(np.nan)}) for field, column in zip(fields, columns)
    ]
    found = [frame.copy() for frame in expected]
    for frame, field, is_categorical in zip(found, fields, categorical):
        if is_categorical:
            frame[field] = frame[field].astype("category")
    for dataset, frames in [(own, found), (stock, expected)]:
        dataset._remap([(frame, field, FeatureType.TOKEN) for frame, field in zip(frames, fields)])
    for frame, expected_frame in zip(found, expected):
        pd.testing.assert_frame_equal(frame, expected_frame)
    for field in set(fields):
        assert own.field2id_token[field].dtype == stock.field2id_token[field].dtype
        np.testing.assert_array_equal(own.field2id_token[field], stock.field2id_token[field])
        assert own.field2token_id[field] == stock.field2token_id[field]


@given(
    st.lists(st.tuples(tokens("u"), tokens("i")), min_size=1, max_size=80),
    st.lists(tokens("u", 15), unique=True) | st.none(),
    st.lists(tokens("i", 15), unique=True) | st.none(),
    st.sampled_from(INTERVALS),
    st.sampled_from(INTERVALS),
)
def test_the_rows_left_by_intervals_of_counts_are_those_of_recbole(rows, users, items, of_users, of_items):
    count = len(rows)
    inter = pd.DataFrame(rows, columns=["user_id", "item_id"], index=3 * np.arange(count))
    inter["row"] = np.arange(count)
    config = {"user_inter_num_interval": of_users, "item_inter_num_interval": of_items}
    results = []
    for kind, dtype in [(OrderedDataset, "category"), (OrderedDataset, object), (Dataset, object)]:
        frames = [inter.astype({"user_id": dtype, "item_id": dtype})]
        for field, features in [("user_id", users), ("item_id", items)]:
            frames.append(None if features is None else pd.DataFrame({field: features}, dtype=object).astype(dtype))
        dataset = part_of_a_dataset(
            kind,
            config=config,
            uid_field="user_id",
            iid_field="item_id",
            dataset_name="toy",
            inter_feat=frames[0],
            removed={},
        )
        dataset.user_feat, dataset.item_feat = frames[1:]
        try:
            dataset._filter_by_inter_num()
        except DataError:  # no row is left
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
