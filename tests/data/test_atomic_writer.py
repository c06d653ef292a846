"""Atomic files from tables: what was in the table comes back from the loader, or is refused."""

import csv
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES
from pyarrow import parquet

from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset
from recbole_sigma.data.atomic_writer import READ_AS_MISSING, write_atomic_files
from recbole_sigma.data.titles import read_item_titles
from recbole_sigma.errors import DataError


def loaded(output, name="t", **settings):
    return create_dataset(Config("SIGMA", name, config_dict={"data_path": str(output), **settings}))


def sequences(dataset):
    """Item tokens of each user, in the order that models see."""
    dataset.build()
    users, items = (
        dataset.field2id_token[field][dataset.interactions[field]].tolist() for field in ("user_id", "item_id")
    )
    by_user = {}
    for user, item in zip(users, items):
        by_user.setdefault(user, []).append(item)
    return by_user


def expected_sequences(rows):
    """Items of each user by time, ties in the order of the table."""
    by_user = {}
    for user, item, _ in sorted(rows, key=lambda row: row[2]):
        by_user.setdefault(user, []).append(item)
    return by_user


def write_csv(path, rows, header=("user", "item", "time")):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


# Those that need quotes or that readers drop come often.
TOKENS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \"\t\n\r,#\0'\\\x1a\ufeff"), min_size=1)
ROWS = st.lists(
    st.tuples(TOKENS, TOKENS | st.sampled_from("abc"), st.floats(allow_nan=False, allow_infinity=False)), min_size=1
)
UNREADABLE = {*READ_AS_MISSING, "[PAD]"}


@given(ROWS, st.booleans())
def test_what_is_accepted_comes_back_as_the_same_sequences(rows, as_parquet):
    rows = [*rows, (rows[0][0], "another", 1e300)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.parquet" if as_parquet else "t.csv")
        if as_parquet:
            parquet.write_table(pyarrow.table(dict(zip(("user", "item", "time"), map(list, zip(*rows))))), path)
        else:
            write_csv(path, rows)
        tokens = {token for row in rows for token in row[:2]}
        if tokens & UNREADABLE or any("\0" in token or {*"\t\n"} <= {*token} for token in tokens):
            with pytest.raises(DataError, match="after the header"):
                write_atomic_files(path, "user", "item", "time", output=folder)
            assert list(Path(folder).iterdir()) == [path]
            return
        written = write_atomic_files(path, "user", "item", "time", output=folder)
        assert sequences(loaded(folder)) == expected_sequences(rows)
        times = [row[2] for row in rows]
        assert written[2:7] == (
            len({row[0] for row in rows}),
            len({row[1] for row in rows}),
            len(rows),
            min(times),
            max(times),
        )
        read = pd.read_csv(written.files[0], sep="\t", dtype=str, na_filter=False)
        assert read["timestamp:float"].tolist() == list(map(repr, times))


def test_the_tokens_that_the_reader_takes_for_missing_are_refused(tmp_path):
    assert READ_AS_MISSING | {""} >= STR_NA_VALUES
    for token in READ_AS_MISSING:
        write_csv(tmp_path / "t.csv", [("u", "i", 1), ("u", token, 2)])
        with pytest.raises(DataError, match="row 2 after the header: item is .*, which RecBole reads as a missing"):
            write_atomic_files(tmp_path / "t.csv", "user", "item", "time", output=tmp_path)


def test_titles_are_read_as_they_were_written(tmp_path):
    titles = {"i1": "", "i2": 'A "quoted"\ttitle', "i3": "None", "i4": "  two\nlines ", "i5": '"', "i6": "Ünï, cöde"}
    rows = [("u", "i1", 0, ""), *(("u", item, 1, title) for item, title in titles.items())]
    rows += [("v", "i1", 2, "late"), ("v", "i1", 3, "too late"), ("v", "i2", 3, "")]
    write_csv(tmp_path / "t.csv", rows, ("user", "item", "time", "name"))
    written = write_atomic_files(tmp_path / "t.csv", "user", "item", "time", title="name", output=tmp_path)
    dataset = loaded(tmp_path, title_field="title")
    read = dict(zip(dataset.field2id_token["item_id"].tolist(), read_item_titles(dataset)))
    expected = {**titles, "i1": "late", "i2": 'A "quoted" title', "i4": "two lines", "[PAD]": ""}
    assert read == expected
    assert [path.name for path in written.files] == ["t.inter", "t.item"]
    assert len(written.files[1].read_text().splitlines()) == 1 + len(titles)
    both = loaded(tmp_path, load_col={"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "title"]})
    assert sequences(both) == sequences(dataset)  # RecBole reads the file as well


def test_ratings_are_kept_as_numbers(tmp_path):
    write_csv(tmp_path / "t.csv", [("u", "i", 1, "4.50"), ("u", "j", 2, "0.1")], ("user", "item", "time", "stars"))
    write_atomic_files(tmp_path / "t.csv", "user", "item", "time", rating="stars", output=tmp_path)
    load_col = {"inter": ["user_id", "item_id", "timestamp", "rating"]}
    rated = loaded(tmp_path, load_col=load_col, val_interval={"rating": "[4,inf)"})
    assert rated.inter_feat["rating"].tolist() == [4.5]
    for rating in ("", "good", "nan", "inf"):
        write_csv(tmp_path / "bad.csv", [("u", "i", 1, 4), ("u", "j", 2, rating)], ("user", "item", "time", "stars"))
        with pytest.raises(DataError, match=f"row 2 after the header: stars is '{rating}'; expected a number"):
            write_atomic_files(tmp_path / "bad.csv", "user", "item", "time", rating="stars", output=tmp_path)


def test_a_data_set_that_is_there_is_replaced_only_if_asked_and_only_by_a_whole_one(tmp_path):
    path = tmp_path / "t.csv"
    write_csv(path, [("u", "i", 1)])
    (inter,) = write_atomic_files(path, "user", "item", "time", output=tmp_path).files
    before = inter.read_text()
    write_csv(path, [("v", "i", 1)])
    with pytest.raises(DataError, match="exists and is not empty; give --overwrite"):
        write_atomic_files(path, "user", "item", "time", output=tmp_path)
    assert inter.read_text() == before
    write_csv(path, [("v", "i", 1), ("v", "", 1)])
    with pytest.raises(DataError, match="item is empty"):
        write_atomic_files(path, "user", "item", "time", output=tmp_path, overwrite=True)
    assert inter.read_text() == before
    write_csv(path, [("v", "i", 1)])
    write_atomic_files(path, "user", "item", "time", output=tmp_path, overwrite=True)
    assert inter.read_text() == before.replace("u\t", "v\t")
    assert [file.name for file in inter.parent.iterdir()] == ["t.inter"]


def test_a_data_set_can_be_rewritten_from_its_own_file(tmp_path):
    write_csv(tmp_path / "t.csv", [("u", 'a "b"', 1.5), (" v", "i", 2)])
    (inter,) = write_atomic_files(tmp_path / "t.csv", "user", "item", "time", output=tmp_path).files
    before = inter.read_text()
    write_atomic_files(inter, "user_id", "item_id", "timestamp", output=tmp_path, overwrite=True)
    assert inter.read_text() == before


@pytest.mark.parametrize("name", ["a/b", "", ".", ".."])
def test_a_name_that_is_no_folder_is_refused(tmp_path, name):
    write_csv(tmp_path / "t.csv", [("u", "i", 1)])
    with pytest.raises(DataError, match="without a path"):
        write_atomic_files(tmp_path / "t.csv", "user", "item", "time", output=tmp_path / "out", name=name)
    assert not (tmp_path / "out").exists()


def test_the_name_of_a_public_data_set_is_refused(tmp_path):
    write_csv(tmp_path / "ml-100k.csv", [("u", "i", 1)])
    with pytest.raises(DataError, match="--name=my-ml-100k"):
        write_atomic_files(tmp_path / "ml-100k.csv", "user", "item", "time", output=tmp_path)


def test_titles_of_former_items_do_not_stay_beside_new_ones(tmp_path):
    (tmp_path / "shop.csv").write_text("user,item,time,name\na,x,1,Ex\n")
    write_atomic_files(tmp_path / "shop.csv", "user", "item", "time", title="name", output=tmp_path)
    assert (tmp_path / "shop" / "shop.item").exists()
    write_atomic_files(tmp_path / "shop.csv", "user", "item", "time", output=tmp_path, overwrite=True)
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["shop.inter"]
