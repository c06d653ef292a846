"""Atomic files and times are read right, or refused."""

import numpy as np
import pytest
from recbole.data.dataset import Dataset

from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset
from recbole_sigma.data.tables import Columns, read_table
from recbole_sigma.data.titles import read_item_titles
from recbole_sigma.errors import ConfigError, DataError
from tests.cases.made_up import base, write_atomic

STRAY = [("a", "x", 1), ("a", "y", 2), ("a", "z", 3), ("b", '"x', 1), ("b", "y", 2), ("c", "x", 1)]
STRAY += [("c", "z", 2), ("c", '"y', 3), ("d", "z", 1), ("d", "x", 2), ("d", "y", 3)]


def dataset_of(model, folder, **settings):
    return create_dataset(
        Config(model, "d", config_dict={"data_path": str(folder), "topk": [5], "valid_metric": "Recall@5", **settings})
    )


def rows_of(dataset):
    """Pairs of user and item tokens, in the order of the data set."""
    columns = (
        dataset.field2id_token[name][np.asarray(dataset.inter_feat[name])].tolist() for name in ("user_id", "item_id")
    )
    return list(zip(*columns))


@pytest.mark.parametrize("model", ["SIGMA", "BPR"])
@pytest.mark.parametrize("rows", [STRAY, [*STRAY[:4], ("c", 'y"', 3)], [("a", '"b" c', 1), ("a", '"d"', 2)]])
def test_case_03_a_stray_quote_swallows_no_rows(tmp_path, model, rows):
    dataset = dataset_of(model, write_atomic(tmp_path, rows))
    assert rows_of(dataset) == [row[:2] for row in rows]
    frames = read_table(tmp_path / "d" / "d.inter", Columns("user_id", "item_id"))
    assert [(user, item) for frame in frames for user, item in zip(frame["user_id"], frame["item_id"])] == rows_of(
        dataset
    )


def test_case_03_quoted_fields_keep_their_meaning(tmp_path):
    rows = [('"a"', '"x\ty"', 1), ('"a"', '"say ""x"""', 2), ('"b"', '"line\nend"', 3), ("b", 'in"ch', 4)]
    dataset = dataset_of("SIGMA", write_atomic(tmp_path, rows))
    assert rows_of(dataset) == [("a", "x\ty"), ("a", 'say "x"'), ("b", "line\nend"), ("b", 'in"ch')]


def test_case_03_titles_with_quotes_are_read_as_they_are(tmp_path):
    titles = {"i0": '19" Rack', "i1": '"Heroes" (1977)', "i2": '"', "i3": 'open "'}
    write_atomic(tmp_path, [("u", item, time) for time, item in enumerate(titles)])
    write_atomic(tmp_path, titles.items(), ("item_id:token", "title:token"), suffix="item")
    dataset = dataset_of("SIGMA", tmp_path, title_field="title")
    assert read_item_titles(dataset).tolist() == ["", *titles.values()]
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "title"]}
    dataset = dataset_of("BPR", tmp_path, load_col=columns)
    assert dataset.field2id_token["title"].tolist() == ["[PAD]", *titles.values()]


def test_case_02_dates_as_tokens_are_refused(tmp_path):
    rows = [(f"u{u}", f"i{(u + j) % 6}", f"2026-0{j + 1}-01") for u in range(8) for j in range(4, -1, -1)]
    write_atomic(tmp_path, rows, ("user_id:token", "item_id:token", "timestamp:token"))
    for model in ("SIGMA", "BPR"):
        with pytest.raises(DataError, match="timestamp:token .*expected timestamp:float: .*recbole-sigma prepare"):
            dataset_of(model, tmp_path)


@pytest.mark.parametrize(
    "times",
    [
        [1600000000.5 - 0.25 * place for place in range(6)],
        [1_600_000_000_000 - place for place in range(6)],
        [1_600_000_000 * 10**9 - 10**6 * place for place in range(6)],
        [-place for place in range(6)],
        [5, 5, 4, 4, 3, 3],
    ],
)
@pytest.mark.parametrize("model", ["SIGMA", "BPR"])
def test_case_02_times_are_sorted_exactly_and_ties_keep_their_order(tmp_path, times, model):
    rows = [("u", f"i{place}", time) for place, time in enumerate(times)]
    test = dataset_of(model, write_atomic(tmp_path, rows)).build()[2]
    expected = sorted(rows, key=lambda row: row[2])[-1]
    assert rows_of(test) == [expected[:2]]


def test_case_02_times_that_float64_cannot_tell_apart_are_refused(tmp_path):
    write_atomic(tmp_path, [("u", "a", 16 * 10**17 + 1), ("u", "b", 16 * 10**17), ("u", "c", 1)])
    with pytest.raises(DataError, match=r"line 3: timestamp is 1600000000000000000, .* above 2\*\*53"):
        dataset_of("SIGMA", tmp_path)
    write_atomic(tmp_path, [("u", "a", 1), ("u", "b", "inf")])
    with pytest.raises(DataError, match="line 3: timestamp is inf; expected a number"):
        dataset_of("SIGMA", tmp_path)


@pytest.mark.parametrize("model", ["BPR", "SASRec", "SIGMA", "FEARec"])
@pytest.mark.parametrize("group_by", ["none", None])
def test_case_09_all_users_are_cut_at_one_moment(tmp_path, model, group_by):
    rows = [(f"u{place % 6}", f"i{place % 7}", 1_600_000_000 + place) for place in range(240)]
    split = {"split": {"RS": [0.6, 0.2, 0.2]}, "group_by": group_by, "order": "TO"}
    train, valid, test = dataset_of(model, write_atomic(tmp_path, rows), eval_args=split).build()
    counts = train.inter_feat["user_id"].bincount()[1:].tolist()
    if model == "BPR":
        assert counts == [24] * 6
    else:  # 234 targets: 142 of training
        assert sorted(counts) == [23, 23, 24, 24, 24, 24]
    targets = [row[:2] for row in rows[0 if model == "BPR" else 6 :]]
    assert rows_of(train) + rows_of(valid) + rows_of(test) == targets


@pytest.mark.skipif(not hasattr(Dataset, "time_based_split"), reason="RecBole 1.2.0 has no such split")
@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_case_09_a_split_at_a_moment_has_exact_times(tmp_path, model):
    rows = [(f"u{place % 6}", f"i{place % 7}", 1_600_000_000 + place) for place in range(240)]
    settings = {"eval_args": {"split": {"TS": [0.6, 0.2, 0.2]}}}
    test = dataset_of(model, write_atomic(tmp_path, rows), **settings).build()[2]
    num_rows = 240 if model == "BPR" else 234
    assert len(test) == num_rows - len([1 for place in range(num_rows) if place <= 0.8 * (num_rows - 1)])


LISTS = ("user_id:token", "item_id_list:token_seq", "item_id:token")
PARTS = ["train", "valid", "test"]
COLUMNS = {"inter": ["user_id", "item_id_list", "item_id"]}


def write_parts(folder, header=LISTS, names=PARTS, rows=None):
    rows = rows or [(f"u{u}", " ".join(f"i{(u + j) % 9}" for j in range(3)), f"i{(u + 3) % 9}") for u in range(9)]
    for name in names:
        write_atomic(folder, rows, header, suffix=f"{name}.inter")
    return rows


@pytest.mark.parametrize("model", ["SIGMA", "SASRec"])
def test_case_04_lists_have_the_ids_of_their_items(tmp_path, model):
    rows = write_parts(tmp_path)
    dataset = dataset_of(model, tmp_path, benchmark_filename=PARTS, load_col=COLUMNS)
    token = dataset.field2id_token["item_id"]
    train = dataset.build()[0].inter_feat
    assert [" ".join(token[ids]) for ids in train["item_id_list"]] == [row[1] for row in rows]
    assert token[train["item_id"]].tolist() == [row[2] for row in rows]


def test_case_04_wrong_names_of_aliases_are_refused(tmp_path):
    write_atomic(tmp_path, base())
    with pytest.raises(DataError, match="alias_of_item_id has 'item_idd'.*did you mean item_id"):
        dataset_of("BPR", tmp_path, alias_of_item_id=["item_idd"])
    with pytest.raises(DataError, match="alias_of_user_id has 'timestamp'; expected .* columns of tokens"):
        dataset_of("BPR", tmp_path, alias_of_user_id=["timestamp"])


@pytest.mark.parametrize("model", ["SASRecAP", "SASRec", "GRU4Rec"])
def test_case_15_rows_without_lists_are_refused(tmp_path, model):
    write_parts(tmp_path, LISTS[::2], rows=[("u", "i"), ("v", "j")])
    with pytest.raises(DataError, match="no column item_id_list:token_seq"):
        dataset_of(model, tmp_path, benchmark_filename=PARTS, load_col={"inter": ["user_id", "item_id"]})


@pytest.mark.parametrize("names", [["train"], ["train", "test"], [*PARTS, "more"]])
def test_case_15_other_than_three_parts_are_refused(tmp_path, names):
    write_parts(tmp_path, names=names)
    with pytest.raises(ConfigError, match=f"benchmark_filename has {len(names)} names; expected three"):
        dataset_of("BPR", tmp_path, benchmark_filename=names, load_col=COLUMNS)


def test_case_15_parts_that_cannot_be_used_are_named(tmp_path):
    write_parts(tmp_path, names=PARTS[:2])
    settings = {"benchmark_filename": PARTS, "load_col": COLUMNS}
    with pytest.raises(DataError, match="d.test.inter does not exist"):
        dataset_of("SASRec", tmp_path, **settings)
    write_atomic(tmp_path, [], LISTS, suffix="test.inter")
    with pytest.raises(DataError, match="d.test.inter has a header and no rows"):
        dataset_of("SASRec", tmp_path, **settings)
    write_atomic(tmp_path, [("u0", "i1", "i2"), ("u0", "", "i2")], LISTS, suffix="test.inter")
    with pytest.raises(DataError, match="d.test.inter, line 3: item_id_list is empty"):
        dataset_of("SASRec", tmp_path, **settings)
    write_atomic(tmp_path, [("u0", "i1 i2 i3 i4", "i2")], LISTS, suffix="test.inter")
    with pytest.raises(DataError, match="d.test.inter, line 2: item_id_list is longer .*MAX_ITEM_LIST_LENGTH=4"):
        dataset_of("SASRec", tmp_path, MAX_ITEM_LIST_LENGTH=3, **settings)


@pytest.mark.parametrize(
    "header, message",
    [
        ("user_id:float item_id:token timestamp:float", r"user_id:float .*expected user_id:token: users are known"),
        ("user_id:token item_id:float timestamp:float", r"item_id:float .*expected item_id:token"),
        ("user_id:token item_id:token_seq timestamp:float", r"item_id:token_seq .*expected item_id:token"),
        ("user_id:token item_id:token timestamp:float_seq", r"timestamp:float_seq .*expected timestamp:float"),
        ("user_id:token user_id:float timestamp:float", "one is there twice"),
    ],
)
@pytest.mark.parametrize("model", ["SIGMA", "BPR"])
def test_case_17_columns_of_another_type_are_refused(tmp_path, model, header, message):
    write_atomic(tmp_path, [(1, 2, 3), (1, 3, 4)], header.split())
    with pytest.raises(DataError, match=message):
        dataset_of(model, tmp_path)


def test_case_17_a_feature_file_with_ids_of_another_type_is_refused(tmp_path):
    write_atomic(tmp_path, base())
    write_atomic(tmp_path, [(1, 2)], ("item_id:float", "price:float"), suffix="item")
    with pytest.raises(DataError, match="d.item, line 1: item_id:float"):
        dataset_of("BPR", tmp_path, load_col={"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id"]})


def test_case_28_a_title_column_that_is_not_there_is_refused(tmp_path):
    write_atomic(tmp_path, base())
    dataset = dataset_of("SIGMA", tmp_path, title_field="name")
    with pytest.raises(DataError, match="d.item does not exist; title_field = 'name'"):
        read_item_titles(dataset)
    write_atomic(tmp_path, [("i1", "One")], ("item_id:token", "names:token"), suffix="item")
    with pytest.raises(DataError, match="has no column 'name' for title_field.*did you mean names"):
        read_item_titles(dataset)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"load_col": {"inter": ["user_id", "item_id", "timestamp", "rates"]}}, "load_col has 'rates' for .inter"),
        ({"load_col": {"inter": ["user_id", "item_id", "timestamp"], "itm": ["x"]}}, "'itm'.*did you mean item"),
        ({"load_col": None, "unload_col": {"inter": ["itemid"]}}, "unload_col has 'itemid' .*did you mean item_id"),
        ({"unused_col": {"inter": ["times"]}}, "unused_col has 'times' .*did you mean timestamp"),
        ({"val_interval": {"timestmp": "[3,inf)"}}, "val_interval has 'timestmp'.*did you mean timestamp"),
    ],
)
def test_names_of_columns_that_are_not_there_are_refused(tmp_path, settings, message):
    write_atomic(tmp_path, base())
    with pytest.raises(DataError, match=message):
        dataset_of("BPR", tmp_path, **settings).build()
