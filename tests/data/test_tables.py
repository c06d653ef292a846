"""Tables of interactions: what is read from them, block by block, and the errors for invalid ones."""

import csv
import datetime
import io
import itertools
import math

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from recbole_sigma.data.tables import Columns, read_table, to_seconds
from recbole_sigma.errors import DataError
from tests.memory import measured, reads_proc

COLUMNS = Columns("user", "item", "time")


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def write(content, name="t.csv"):
        path = tmp_path / name
        if isinstance(content, dict):
            parquet.write_table(pyarrow.table(content), path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rows(path, columns=COLUMNS, **settings):
    frames = list(read_table(path, columns, **settings))
    whole = pd.concat(frames)
    assert whole.index.tolist() == list(range(len(whole)))
    return [tuple(row) for row in whole[columns.names()].itertuples(index=False)]


def refused(path, columns=COLUMNS, **settings):
    with pytest.raises(DataError) as caught:
        list(read_table(path, columns, **settings))
    assert str(path) in str(caught.value)
    return str(caught.value)


SAME = {
    "csv": ("t.csv", "item,x,user,time\ni,1,u,1.5\nj,2,v,2\n"),
    "quoted": ("t.csv", '"item",x,"user",time\r\n"i","a,\r\n""b",u,"1.5"\r\nj,,v,2\r\n'),
    "byte order mark": ("t.csv", "\ufeffuser,item,time\nu,i,1.5\nv,j,2"),
    "blank lines": ("t.CSV", "\n\nuser,item,time\n\nu,i,1.5\n\n\nv,j,2\n\n"),
    "atomic": ("t.inter", "user:token\titem:token\ttime:float\nu\ti\t1.5\nv\tj\t2\n"),
    "atomic, quoted": ("t.inter", 'user:token\titem:token\tx:token\ttime:float\n"u"\ti\t"\t"\t1.5\nv\tj\t\t2\n'),
    "parquet": ("t.parquet", {"time": [1.5, 2.0], "x": [[1], None], "item": ["i", "j"], "user": ["u", "v"]}),
    "dictionaries": (
        "t.parquet",
        {"time": ["1.5", "2"], "item": pyarrow.array(["i", "j"]).dictionary_encode(), "user": [b"u", b"v"]},
    ),
}


@pytest.mark.parametrize("kind", SAME)
def test_every_kind_of_file_gives_the_same_rows(write, kind):
    name, content = SAME[kind]
    for block in (1, 100):
        assert rows(write(content, name), rows=block) == [("u", "i", 1.5), ("v", "j", 2.0)]


def test_tokens_are_the_texts_of_the_file(write):
    tokens = ["NA", "null", "nan", "None", "007", "1.0", "1e5", " ", " a ", "True", 'a"b', "é", "2020-01-01"]
    text = io.StringIO()
    csv.writer(text).writerows([["user", "item", "time"], *([token, token, 0] for token in tokens)])
    expected = [(token, token, 0.0) for token in tokens]
    assert rows(write(text.getvalue())) == expected
    assert rows(write({"user": tokens, "item": tokens, "time": [0] * len(tokens)}, "t.parquet")) == expected
    atomic = "".join(f"{token}\t{token}\t0\n" for token in tokens)
    assert rows(write("user:token\titem:token\ttime:float\n" + atomic, "t.inter")) == expected


def test_numbers_in_parquet_become_the_texts_that_people_expect(write):
    ids = pyarrow.array([7, 2**62, -1])
    path = write({"user": ids, "item": [True, False, True], "time": ids, "rating": [4.0, 0.1, 1e-7]}, "t.parquet")
    read = rows(path, Columns("user", "item", None, ("rating",)))
    assert [row[:2] for row in read] == [("7", "true"), (str(2**62), "false"), ("-1", "true")]
    assert [float(row[2]) for row in read] == [4.0, 0.1, 1e-7]


def test_a_null_in_parquet_does_not_make_floats_of_the_integers_beside_it(write):
    path = write({"user": ["u", "u"], "item": [5, 6], "x": pyarrow.array([7, None])}, "t.parquet")
    assert rows(path, Columns("user", "item", None, ("x",))) == [("u", "5", "7"), ("u", "6", "")]


def test_without_a_time_the_columns_are_texts(write):
    assert rows(write("user,item\nu,1\n"), Columns("user", "item")) == [("u", "1")]


def test_numbers_are_read_exactly(write):
    times = np.random.default_rng(0).random(2000) * 10.0 ** np.random.default_rng(1).integers(-300, 300, 2000)
    read = rows(write("user,item,time\n" + "".join(f"u,i,{time!r}\n" for time in times.tolist())), rows=300)
    assert [row[2] for row in read] == times.tolist()
    read = rows(write({"user": ["u"] * 2000, "item": ["i"] * 2000, "time": times}, "t.parquet"), rows=300)
    assert [row[2] for row in read] == times.tolist()


def seconds(*parts, zone=0):
    moment = datetime.datetime(*parts, tzinfo=datetime.timezone(datetime.timedelta(hours=zone)))
    return moment.timestamp()


def test_dates_with_and_without_zones_become_seconds(write):
    dates = {
        "2026-01-31": seconds(2026, 1, 31),
        "2026-01-31 12:30:01": seconds(2026, 1, 31, 12, 30, 1),
        "2026-01-31T12:30:01.25Z": seconds(2026, 1, 31, 12, 30, 1, 250_000),
        "2026-01-31T12:30:01+02:00": seconds(2026, 1, 31, 12, 30, 1, zone=2),
        "1969-12-31 23:59:59": -1.0,
    }
    read = rows(write("user,item,time\n" + "".join(f"u,i,{date}\n" for date in dates)))
    assert [row[2] for row in read] == list(dates.values())


@pytest.mark.parametrize("zone, hours", [(None, 0), ("UTC", 0), ("Asia/Tokyo", 9)])
def test_timestamps_of_parquet_become_seconds(write, zone, hours):
    moment = datetime.datetime(2026, 1, 31, 12, 30, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=hours)))
    for unit in ("s", "ms", "us", "ns"):
        times = pyarrow.array([moment if zone else moment.replace(tzinfo=None)], pyarrow.timestamp(unit, zone))
        path = write({"user": ["u"], "item": ["i"], "time": times}, "t.parquet")
        assert rows(path) == [("u", "i", moment.timestamp())]


@pytest.mark.parametrize("kind", [pyarrow.date32(), pyarrow.date64()])
def test_days_of_parquet_become_seconds(write, kind):
    times = pyarrow.array([datetime.date(2026, 1, 31)], kind)
    assert rows(write({"user": ["u"], "item": ["i"], "time": times}, "t.parquet"))[0][2] == seconds(2026, 1, 31)


BAD = {
    "empty file": ("", "is empty; expected a header line"),
    "blank file": ("\n\n", "is empty; expected a header line"),
    "header alone": ("user,item,time\n", "a header and no rows"),
    "header alone, atomic": ("user:token\titem:token\ttime:float\n", "a header and no rows"),
    "header alone, parquet": ({"user": [], "item": [], "time": []}, "a header and no rows"),
    "missing column": ("usr,item,time\nu,i,1\n", "has no column 'user'; it has usr, item, time; did you mean usr?"),
    "two columns": ("user,item,time,user\nu,i,1,v\n", "has two columns 'user'; expected one"),
    "semicolons": ("user;item;time\nu;i;1\n", "separated by ';', expected a comma"),
    "tabs": ("user\titem\ttime\nu\ti\t1\n", "separated by '\\t', expected a comma"),
    "short row": ("user,item,time\nu,i,1\n\nu,i\n", "row 2 after the header: 2 columns; expected 3"),
    "long row": ("user,item,time\nu,i,1\nu,i,1,2\n", "row 2 after the header: 4 columns; expected 3"),
    "long rows": ("user,item,time\nu,i,1,2\nu,i,1,2\n", "row 1 after the header: 4 columns; expected 3"),
    "short row, atomic": ("user:token\titem:token\ttime:float\nu\ti\n", "line 2: 2 columns; expected 3"),
    "short row among quotes": ('user:token\titem:token\ttime:float\n"u"\n', "line 2: 1 columns; expected 3"),
    "no token": ("user,item,time\nu,i,1\n,i,1\n", "row 2 after the header: user is empty"),
    "null": ({"user": ["u", "u"], "item": ["i", None], "time": [1, 2]}, "row 2 after the header: item is empty"),
    "no time": ("user,item,time\nu,i,1\nu,i,\n", "row 2 after the header: time is ''; expected a number"),
    "no time in parquet": (
        {"user": ["u"], "item": ["i"], "time": pyarrow.array([None], pyarrow.timestamp("s"))},
        "row 1 after the header: time is 'nan'",
    ),
    "infinite time": ("user,item,time\nu,i,inf\n", "row 1 after the header: time is 'inf'"),
    "no number": ("user,item,time\nu,i,1\nu,i,soon\n", "row 2 after the header: time is 'soon'; expected a number"),
    "neither": ("user,item,time\nu,i,soon\n", "expected a number or a date such as 2026-01-31 12:00:00"),
    "relative date": ("user,item,time\nu,i,now\n", "row 1 after the header: time is 'now'"),
    "numbers and dates": ("user,item,time\nu,i,1\nu,i,2026-01-31\n", "expected a number, as in the first row"),
    "dates and numbers": ("user,item,time\nu,i,2026-01-31\nu,i,2026\n", "expected a date such as"),
    "no such day": ("user,item,time\nu,i,2026-02-30\n", "time is '2026-02-30'; expected"),
    "open quote": ('user,item,time\nu,i,1\nu,"i,1\n', "line 3: unexpected end of data"),
    "stray quote": ('user,item,time\nu,"i"i,1\n', "line 2: ',' expected after '\"'"),
    "no text": (b"user,item,time\nu,\xff,1\n", "is not UTF-8 text"),
    "no text, atomic": (b"user:token\titem:token\ttime:float\nu\t\xff\t1\n", "cannot be read"),
    "UTF-16": ("user,item,time\nu,i,1\n".encode("utf-16"), "is not UTF-8 text"),
    "no Parquet": (b"PAR1 nothing PAR1", "cannot be read"),
    "nested": ({"user": [["u"]], "item": ["i"], "time": [1]}, "user has the type list<element: string>; expected"),
}


def name_of(content):
    if isinstance(content, dict) or content[:1] == b"P":
        return "t.parquet"
    return "t.inter" if "item:token" in str(content) else "t.csv"


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_with_the_row(write, case):
    content, message = BAD[case]
    for block in (1, 100):
        assert message in refused(write(content, name_of(content)), rows=block)


@pytest.mark.parametrize("name", ["t.csv", "t.inter", "t.parquet"])
def test_the_row_is_right_across_blocks(write, name):
    for row, block in itertools.product([1, 8, 29, 30], [1, 7, 1000]):
        times = [str(number) for number in range(30)]
        times[row - 1] = "?"
        if name == "t.parquet":
            content = {"user": ["u"] * 30, "item": ["i"] * 30, "time": times}
        elif name == "t.inter":
            content = "user:token\titem:token\ttime:float\n" + "".join(f"u\ti\t{time}\n" for time in times)
        else:
            content = "user,item,time\n" + "".join(f"u,i,{time}\n" for time in times)
        assert f"row {row} after the header: time is '?'" in refused(write(content, name), rows=block)


def test_a_missing_file_and_columns_that_are_one_are_refused(tmp_path, write):
    assert "does not exist; expected CSV" in refused(tmp_path / "none.csv")
    with pytest.raises(DataError, match="'user' is given twice"):
        next(read_table(write("user,item\nu,i\n"), Columns("user", "user")))


def test_numbers_and_dates_are_told_apart_by_the_first():
    assert to_seconds(pd.Series([1, 2.5])).tolist() == [1.0, 2.5]
    assert to_seconds(pd.Series(["1970-01-01", "1970-01-02"])).tolist() == [0.0, 86400.0]
    assert math.isnan(to_seconds(pd.Series(["1", "1970-01-01"]))[1])
    assert math.isnan(to_seconds(pd.Series(["1970-01-01", "1"]))[1])


GROWTH = """
import sys
from recbole_sigma.data.tables import Columns, read_table
for frame in read_table(sys.argv[1], Columns("user", "item", "time"), rows=2**13):
    before = resident("VmHWM")
    break
count = sum(len(frame) for frame in read_table(sys.argv[1], Columns("user", "item", "time"), rows=2**13))
assert count == 300_000, count
print(resident("VmHWM") - before)
"""


@reads_proc
@pytest.mark.parametrize(
    "name", ["t.csv", *(pytest.param(name, marks=pytest.mark.slow) for name in ("t.inter", "t.parquet"))]
)
def test_memory_does_not_grow_with_the_table(write, name):
    numbers = range(300_000)
    if name == "t.parquet":
        text = [f"a token of some length {number}" for number in numbers]
        path = write(b"", name)
        parquet.write_table(
            pyarrow.table({"user": text, "item": text, "time": list(numbers)}), path, row_group_size=2**13
        )
    else:
        comma = "," if name == "t.csv" else "\t"
        header = "user,item,time\n" if name == "t.csv" else "user:token\titem:token\ttime:float\n"
        token = "a token of some length"
        path = write(header + "".join(f"{token} {n}{comma}{token} {n}{comma}{n}\n" for n in numbers), name)
    assert measured(GROWTH, path) < 20e6
