"""Atomic files and times are read right, or refused."""

import pytest

from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders
from recbole_sigma.data.tables import Columns, read_table
from recbole_sigma.data.titles import read_item_titles
from recbole_sigma.errors import DataError
from tests.cases.made_up import HEADER, base, write_atomic

STRAY = [("a", "x", 1), ("a", "y", 2), ("a", "z", 3), ("b", '"x', 1), ("b", "y", 2), ("c", "x", 1)]
STRAY += [("c", "z", 2), ("c", '"y', 3), ("d", "z", 1), ("d", "x", 2), ("d", "y", 3)]


def dataset_of(model, folder, **settings):
    return create_dataset(Config(model, "d", config_dict={"data_path": str(folder), "topk": [5], "valid_metric": "Recall@5", **settings}))


def rows_of(dataset):
    """Pairs of user and item tokens, in the order of the data set."""
    columns = (dataset.field2id_token[name][dataset.inter_feat[name]].tolist() for name in ("user_id", "item_id"))
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
