"""Tables in, lists out: what becomes a token or a time, which files are read, and what is said about the lists."""

import bz2
import datetime
import decimal
import gzip
import logging
import lzma
import uuid
import zipfile

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

import recbole_sigma
from recbole_sigma.cli import main
from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset
from recbole_sigma.data.atomic_writer import write_atomic_files
from recbole_sigma.data.tables import Columns, read_table
from recbole_sigma.errors import DataError
from tests.cases.made_up import base, write_atomic

COLUMNS = Columns("user", "item", "time")


def rows_of(path, columns=COLUMNS, **settings):
    frame = pd.concat(list(read_table(path, columns, **settings)))
    return list(frame[columns.names()].itertuples(index=False, name=None))


def tokens_of(folder, items, times=None):
    """The item tokens that a Parquet file with this column has, read two rows at a time."""
    size = len(items)
    table = {"user": ["u"] * size, "item": items, "time": list(range(size)) if times is None else times}
    parquet.write_table(pyarrow.table(table), folder / "t.parquet")
    return [row[1] for row in rows_of(folder / "t.parquet", rows=2)]


def times_of(folder, times):
    table = {"user": ["u"] * len(times), "item": ["i"] * len(times), "time": times}
    parquet.write_table(pyarrow.table(table), folder / "t.parquet")
    return [row[2] for row in rows_of(folder / "t.parquet", rows=2)]


@pytest.mark.parametrize("kind", ["float64", "Float64", "Int64", "double[pyarrow]", "int64", "uint64", "object"])
def test_case_20_whole_numbers_in_a_column_of_floats_are_the_tokens_of_an_integer_file(tmp_path, kind):
    barcodes = pd.Series([9999999999, 4006381333902, 7])
    barcodes = barcodes.map(str) if kind == "object" else barcodes.astype(kind)
    frame = pd.DataFrame({"user": "u", "item": barcodes, "time": range(3)})
    frame.to_parquet(tmp_path / "t.parquet")
    assert [row[1] for row in rows_of(tmp_path / "t.parquet")] == ["9999999999", "4006381333902", "7"]


D = decimal.Decimal
RIGHT = {
    "half": (pyarrow.array(np.array([2047, 3], np.float16)), ["2047", "3"]),
    "float32": (pyarrow.array([16777215, 3], pyarrow.float32()), ["16777215", "3"]),
    "float64": (pyarrow.array([2.0**53 - 1, -0.0]), ["9007199254740991", "0"]),
    "int8": (pyarrow.array([-128, 127], pyarrow.int8()), ["-128", "127"]),
    "uint64": (pyarrow.array([2**64 - 1, 0], pyarrow.uint64()), [str(2**64 - 1), "0"]),
    "decimal": (pyarrow.array([D("4006381333902"), D(1)], pyarrow.decimal128(20, 0)), ["4006381333902", "1"]),
    "whole decimals": (pyarrow.array([D("10.00"), D("1.00")], pyarrow.decimal256(50, 2)), ["10", "1"]),
    "binary": (pyarrow.array([b"a", b"b"], pyarrow.large_binary()), ["a", "b"]),
    "fixed binary": (pyarrow.array([b"abc", b"def"], pyarrow.binary(3)), ["abc", "def"]),
    "large string": (pyarrow.array(["a", "b"], pyarrow.large_string()), ["a", "b"]),
    "dictionary of floats": (pyarrow.array([5e9, 6.0]).dictionary_encode(), ["5000000000", "6"]),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_case_20_every_type_that_is_exact_becomes_its_text(tmp_path, kind):
    column, expected = RIGHT[kind]
    assert tokens_of(tmp_path, column) == expected


WRONG = {
    "fractions": (pyarrow.array([1.0, 2.0, 1.5]), "row 3 after the header: item is 1.5 in a column of the type double"),
    "large floats": (pyarrow.array([1.0, 2.0**53]), "row 2 after the header: item is 9007199254740992 in a column"),
    "large float32": (pyarrow.array([1, 2, 2**24], pyarrow.float32()), "row 3 after the header: item is 16777216 in"),
    "infinite": (pyarrow.array([np.inf]), "row 1 after the header: item is inf"),
    "NaN": (pyarrow.array([1.0, np.nan]), "row 2 after the header: item is empty"),
    "null": (pyarrow.array([1.0, 2.0, None]), "row 3 after the header: item is empty"),
    "nulls": (pyarrow.nulls(2), "row 1 after the header: item is empty"),
    "decimals": (pyarrow.array([D("1.00"), D("2.00"), D("1.50")]), "row 3 after the header: item is 1.50 in a column"),
    "bytes": (pyarrow.array([b"\xff"]), "item has the type binary"),
    "list": (pyarrow.array([["a"]]), "item has the type list"),
    "struct": (pyarrow.array([{"a": 1}]), "item has the type struct"),
    "date": (pyarrow.array([datetime.date(2026, 1, 31)]), "item has the type date32"),
    "timestamp": (pyarrow.array([1], pyarrow.timestamp("us")), "item has the type timestamp[us]"),
    "time": (pyarrow.array([1], pyarrow.time64("us")), "item has the type time64[us]"),
    "duration": (pyarrow.array([1], pyarrow.duration("s")), "item has the type duration[s]"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_case_20_a_column_that_makes_no_exact_token_is_refused_by_name_and_type(tmp_path, kind):
    column, message = WRONG[kind]
    with pytest.raises(DataError) as caught:
        tokens_of(tmp_path, column)
    assert f"t.parquet{', ' if message.startswith('row') else ': '}{message}" in str(caught.value)


MOMENT = datetime.datetime(2026, 1, 31, 12, 30, 1, tzinfo=datetime.timezone.utc)
SECONDS = int(MOMENT.timestamp())
TIMES = {
    **{
        f"timestamp[{unit}]": pyarrow.array([MOMENT] * 3, pyarrow.timestamp(unit, "UTC")) for unit in ("ms", "us", "ns")
    },
    "dictionary": pyarrow.array([MOMENT] * 3, pyarrow.timestamp("us", "Asia/Tokyo")).dictionary_encode(),
    "int": pyarrow.array([SECONDS] * 3),
    "float64": pyarrow.array([float(SECONDS)] * 3),
    "decimal": pyarrow.array([D(SECONDS)] * 3),
    "decimal with cents": pyarrow.array([D(f"{SECONDS}.00")] * 3),
    "text": pyarrow.array(["2026-01-31T12:30:01Z"] * 3),
    "numbers as texts": pyarrow.array([str(SECONDS)] * 3),
}


@pytest.mark.parametrize("kind", TIMES)
def test_case_20_times_of_every_type_are_the_right_seconds(tmp_path, kind):
    assert times_of(tmp_path, TIMES[kind]) == [SECONDS] * 3


@pytest.mark.parametrize(
    "column, message",
    [
        (
            pyarrow.array(np.array([1, SECONDS], np.float32)),
            "row 2 after the header: time is 1769862656 in a column of",
        ),
        (pyarrow.array([1], pyarrow.time64("us")), "time has the type time64[us]"),
        (pyarrow.array([1], pyarrow.duration("ns")), "time has the type duration[ns]"),
        (pyarrow.array([True]), "time has the type bool"),
        (pyarrow.array([[1]]), "time has the type list"),
        (pyarrow.array(["2026_01_31"]), "time is '2026_01_31'"),
        (pyarrow.array([b"\xff"]), "time has the type binary"),
    ],
)
def test_case_20_a_time_that_is_none_or_too_coarse_is_refused(tmp_path, column, message):
    with pytest.raises(DataError) as caught:
        times_of(tmp_path, column)
    assert message in str(caught.value)


def test_case_20_a_model_trained_on_integers_knows_the_items_of_a_float_file(trained_on_codes, capsys):
    """From ``prepare`` to ``recommend``: the ids of the training are integers, those of the request have a gap."""
    folder, checkpoint, rows = trained_on_codes
    frame = pd.DataFrame(rows, columns=["user", "item", "time"]).astype({"user": float, "item": float})
    frame.to_parquet(folder / "floats.parquet")
    words = ["--input=floats.parquet", "--user=user", "--item=item", "--time=time", "--output=o.csv", "-k=1"]
    assert main(["recommend", f"--checkpoint={checkpoint}", *words]) == 0
    err = capsys.readouterr().err
    assert "does not know" not in err and "popular" not in err
    assert set(pd.read_csv(folder / "o.csv")["user"]) == {row[0] for row in rows}


@pytest.fixture
def trained_on_codes(tmp_path, monkeypatch):
    """A folder, a checkpoint trained on the made-up data with integers as tokens, and its rows."""
    monkeypatch.chdir(tmp_path)
    rows = [(int(user[1:]), 4006381333900 + int(item[1:]), time) for user, item, time in base()]
    pd.DataFrame(rows, columns=["user", "item", "time"]).to_parquet(tmp_path / "codes.parquet")
    assert main(["prepare", "codes.parquet", "--user=user", "--item=item", "--time=time"]) == 0
    settings = {"data_path": "dataset", "epochs": 1, "hidden_size": 8, "inner_size": 8, "state": "error"}
    return tmp_path, recbole_sigma.run_recbole_sigma("SASRecAP", "codes", config_dict=settings)["checkpoint"], rows


CSV = "user,item,time\nu,i,1\nu,j,2\n"


def zipped(path, *names, text=CSV):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, text)


@pytest.mark.parametrize("name", ["g.csv.gz", "g.csv.bz2", "g.csv.xz", "g.zip", "g.csv.zip", "g.pq", "g.parq", "g.csv"])
def test_case_26_compressed_csv_and_the_other_names_of_parquet_are_read(tmp_path, monkeypatch, name, capsys):
    monkeypatch.chdir(tmp_path)
    if name.endswith("q"):
        parquet.write_table(pyarrow.table({"user": ["u", "u"], "item": ["i", "j"], "time": [1, 2]}), name)
    elif name.endswith(".zip"):
        zipped(name, "inner/g.csv", "__MACOSX/._g.csv")
    else:
        pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "csv": bytes}[name.rpartition(".")[2]]
        (tmp_path / name).write_bytes(pack(CSV.encode()))
    assert rows_of(tmp_path / name, rows=1) == [("u", "i", 1.0), ("u", "j", 2.0)]
    assert main(["prepare", name, "--user=user", "--item=item", "--time=time"]) == 0
    assert (tmp_path / "dataset" / "g" / "g.inter").read_text().splitlines()[1:] == ["u\ti\t1.0", "u\tj\t2.0"]


def damaged(path):
    path.write_bytes(gzip.compress(CSV.encode() * 1000)[:-20])


FOREIGN = {
    "x.xlsx": lambda path: zipped(path, "[Content_Types].xml", "xl/workbook.xml"),
    "x.ods": lambda path: zipped(path, "mimetype", "content.xml"),
    "x.xls": lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)),
    "two.zip": lambda path: zipped(path, "a.csv", "b.csv"),
    "none.zip": lambda path: zipped(path),
    "x.inter.gz": lambda path: path.write_bytes(gzip.compress(b"user:token\titem:token\ttime:float\n")),
    "x.csv.zst": lambda path: path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20)),
    "x.feather": lambda path: path.write_bytes(b"ARROW1" + bytes(20)),
    "x.json": lambda path: path.write_text('[{"user": "u"}]'),
    "x.tsv": lambda path: path.write_text(CSV.replace(",", "\t")),
    "cut.csv.gz": damaged,
    "cut.zip": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(20)),
    "text.parquet": lambda path: path.write_text(CSV),
    "empty.pq": lambda path: path.write_bytes(b""),
    "empty.csv": lambda path: path.write_bytes(b""),
    "utf16.csv": lambda path: path.write_bytes(CSV.encode("utf-16")),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_case_26_other_files_end_with_2_and_the_formats_there_are(tmp_path, monkeypatch, name, capsys):
    monkeypatch.chdir(tmp_path)
    FOREIGN[name](tmp_path / name)
    assert main(["prepare", name, "--user=user", "--item=item", "--time=time"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {name}") and ("expected" in error or "cannot be read" in error)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [name]


def test_case_27_a_uuid_becomes_its_text(tmp_path):
    ids = [uuid.UUID(int=number) for number in (0, 1, 2**128 - 1, 0x0123456789ABCDEF << 32)]
    column = pyarrow.array([one.bytes for one in ids], pyarrow.binary(16)).cast(pyarrow.uuid())
    assert tokens_of(tmp_path, column) == [str(one) for one in ids]
    with pytest.raises(DataError, match="row 3 after the header: item is empty"):
        tokens_of(tmp_path, pyarrow.array([bytes(16), bytes(16), None], pyarrow.binary(16)).cast(pyarrow.uuid()))


def test_case_03_rows_that_a_quote_would_swallow_are_refused_with_their_lines(tmp_path):
    path = tmp_path / "t.csv"
    for wrong, message in [
        ('a,x,1\nb,"x,1\nb,y,2\nc,"y,3\nd,z,1\n', "The row begins in line 3"),
        ('a,x,1\nb,"x,1\nb,y,2\n', "The row begins in line 3"),
        ('a,x,1\nb,"x,1\nc,y",2\nd,z,1\n', "lines 3 to 4: a quote opens in the first"),
    ]:
        path.write_text("user,item,time\n" + wrong)
        with pytest.raises(DataError) as caught:
            rows_of(path)
        assert message in str(caught.value)
    path.write_text('user,item,time\na,"two\nlines, and a comma",1\nb,"a ""quote""",2\n')
    assert rows_of(path) == [("a", "two\nlines, and a comma", 1.0), ("b", 'a "quote"', 2.0)]


def test_case_23_tokens_do_not_depend_on_where_a_block_ends(tmp_path):
    items = ["1", "2", "3.0", "04", "1e3", "NA", "x", "True"]
    (tmp_path / "t.csv").write_text("user,item,time\n" + "".join(f"u,{item},{n}\n" for n, item in enumerate(items)))
    lines = "".join(f"u\t{item}\t{n}\n" for n, item in enumerate(items))
    (tmp_path / "t.inter").write_text("user:token\titem:token\ttime:float\n" + lines)
    for name in ("t.csv", "t.inter"):
        for rows in (1, 3, 100):
            assert [row[1] for row in rows_of(tmp_path / name, rows=rows)] == items


def loaded(folder, **settings):
    """The rows of a data set after filtering, as tokens and times, sorted."""
    dataset = create_dataset(Config("SASRecAP", "d", config_dict={"data_path": str(folder), **settings}))
    tokens = (dataset.field2id_token[name][dataset.inter_feat[name]] for name in ("user_id", "item_id"))
    return sorted(zip(*tokens, dataset.inter_feat["timestamp"].tolist()))


def test_case_19_exact_duplicates_are_said_with_their_number_and_can_be_dropped(tmp_path, caplog):
    rows = base(t0=0)
    again = rows[: len(rows) // 4]
    repeats = [(user, item, time + 1) for user, item, time in again[:7]]
    write_atomic(tmp_path, [*rows, *again, *repeats])
    with caplog.at_level(logging.INFO):
        assert len(loaded(tmp_path)) == len(rows) + len(again) + 7
    (said,) = [record.getMessage() for record in caplog.records if "exact copy" in record.getMessage()]
    assert said.startswith(f"{len(again)} interactions of {len(rows) + len(again) + 7} of d are")
    assert "drop_duplicates: true" in said
    caplog.clear()
    with caplog.at_level(logging.INFO):
        kept = loaded(tmp_path, drop_duplicates=True)
    assert kept == sorted((user, item, float(np.float32(time))) for user, item, time in [*rows, *repeats])
    assert any(f"{len(again)} interactions of d are left out" in record.getMessage() for record in caplog.records)


def test_case_19_without_duplicates_nothing_is_said(tmp_path, caplog):
    write_atomic(tmp_path, base())
    with caplog.at_level(logging.INFO):
        loaded(tmp_path)
    assert not any("copy" in record.getMessage() for record in caplog.records)


def test_case_19_rows_that_differ_in_another_loaded_column_are_no_duplicates(tmp_path, caplog):
    rows = [("a", "x", 1, 5), ("a", "x", 1, 4), ("a", "x", 1, 5), ("a", "y", 1, 5), ("b", "x", 1, 5), ("b", "y", 2, 5)]
    write_atomic(tmp_path, rows, ("user_id:token", "item_id:token", "timestamp:float", "rating:float"))
    columns = {"inter": ["user_id", "item_id", "timestamp", "rating"]}
    assert len(loaded(tmp_path, drop_duplicates=True, load_col=columns)) == 5
    assert len(loaded(tmp_path, drop_duplicates=True)) == 4


def test_case_19_prepare_counts_duplicates_and_repeats_and_drops_them(tmp_path, monkeypatch, capsys):
    """Across the ends of blocks: rows (user, item, time)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("recbole_sigma.data.tables.read_table.__defaults__", (2, "\t", None))
    rows = [("a", "x", 3), ("b", "x", 1), ("a", "x", 1), ("a", "x", 3), ("a", "y", 2), ("b", "x", 1), ("b", "x", 1)]
    pd.DataFrame(rows, columns=["user", "item", "time"]).to_csv("t.csv", index=False)
    words = ["prepare", "t.csv", "--user=user", "--item=item", "--time=time", "--overwrite"]
    once = list(dict.fromkeys(rows))
    for flags, expected in [
        ([], rows),
        (["--drop-duplicates"], once),
        (["--drop-repeats"], [("b", "x", 1), ("a", "x", 1), ("a", "y", 2)]),
    ]:
        assert main([*words, *flags]) == 0
        out = capsys.readouterr().out
        assert f"2 users, 2 items, {len(expected)} interactions" in out
        assert "duplicates: 3 rows are exact copies of an earlier one" in out
        assert "repeats: 1 row has the user and the item of another one" in out
        written = (tmp_path / "dataset" / "t" / "t.inter").read_text().splitlines()[1:]
        assert written == [f"{user}\t{item}\t{float(time)}" for user, item, time in expected]


@pytest.fixture
def full_users(trained, tmp_path, monkeypatch):
    """Words of the command; ``full.csv``: 513 users who had all 40 items, then a user with two."""
    monkeypatch.chdir(tmp_path)
    users = np.repeat([f"full {n}" for n in range(513)], 40)
    items = np.tile([f"i{n}" for n in range(40)], 513)
    frame = pd.DataFrame({"user_id": [*users, "u", "u"], "item_id": [*items, "i1", "i2"]})
    frame.to_csv("full.csv", index=False)
    return ["recommend", f"--checkpoint={trained}", "--device=cpu"]


def test_case_22_a_user_who_has_had_every_item_gets_a_sentence(full_users, capsys):
    everything = " ".join(f"i{n}" for n in range(40))
    assert main([*full_users, "--history", everything]) == 0
    out, err = capsys.readouterr()
    assert not out and err == "nothing is left to recommend: the history has every item that the model knows\n"
    assert main([*full_users, "--history", everything.rpartition(" ")[0], "-k=2"]) == 0
    out, err = capsys.readouterr()
    assert out.split()[1] == "i39" and err == "1 item of 2: the history has all others that the model knows\n"


@pytest.mark.parametrize("output", ["q.parquet", "q.csv"])
def test_cases_22_and_23_a_first_batch_without_rows_and_the_number_of_users_with_some(full_users, output, capsys):
    assert main([*full_users, "--input=full.csv", "--time=", "-k=2", f"--output={output}"]) == 0
    err = capsys.readouterr().err
    assert f"recommendations for 1 of 514 users of full.csv, 2 items each: {output}" in err
    assert "513 users had every item that the model knows" in err
    table = pd.read_parquet(output) if output.endswith("t") else pd.read_csv(output)
    assert table["user_id"].tolist() == ["u", "u"] and table["rank"].tolist() == [1, 2]


def test_case_23_a_file_in_which_nobody_gets_anything_is_a_table_without_rows(full_users, capsys):
    pd.read_csv("full.csv")[:40].to_csv("one.csv", index=False)
    assert main([*full_users, "--input=one.csv", "--time=", "--output=q.parquet"]) == 0
    assert "recommendations for 0 of 1 user of one.csv" in capsys.readouterr().err
    schema = parquet.read_schema("q.parquet")
    assert schema.names == ["user_id", "rank", "item_id", "score", "by_popularity", "title"]
    assert [str(kind) for kind in schema.types] == ["string", "int64", "string", "double", "bool", "string"]


def test_case_02_times_that_float64_rounds_are_refused(tmp_path):
    rows = "u,late,1600000000000000100\nu,early,1600000000000000001\nu,mid,1600000000000000050\n"
    (tmp_path / "t.csv").write_text("user,item,time\n" + rows)
    with pytest.raises(DataError, match="time is 1600000000000000100.*seconds or milliseconds"):
        write_atomic_files(tmp_path / "t.csv", "user", "item", "time", output=tmp_path)
