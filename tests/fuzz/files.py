"""Cases as files: atomic ones, or tables for ``prepare``."""

from __future__ import annotations

import io
import random
import re
from contextlib import redirect_stdout
from pathlib import Path

from recbole_sigma.cli import main
from tests.fuzz.made_up import Case, date_of
from tests.reference import filters
from tests.reference.tables import Row, atomic_rows, seconds

NAME = "made"
HEADER = "user_id:token\titem_id:token\ttimestamp:float\trating:float\n"


def write(case: Case, folder: Path) -> list[Row]:
    """Write the ``.inter`` file of a case into ``folder/dataset``, and return its rows."""
    inter = folder / "dataset" / NAME / f"{NAME}.inter"
    if case.source == "atomic":
        inter.parent.mkdir(parents=True)
        write_atomic(case.rows, inter)
        return case.rows
    table = folder / f"{NAME}.{case.source}"
    times = _times(case)
    (_write_csv if case.source == "csv" else _write_parquet)(case, times, table)
    printed = prepare(table, folder / "dataset", case.drop)
    rows = [row._replace(time=seconds(time)) for row, time in zip(case.rows, times)]
    different = filters.without_copies(rows)
    kept = {"": rows, "duplicates": different, "repeats": filters.without_duplicates(rows, "first")}[case.drop]
    kept = [row._replace(line=line) for line, row in enumerate(kept)]
    written = atomic_rows(inter.read_text(encoding="utf-8"))
    assert written == kept, f"prepare wrote {written}; expected {kept}"
    _check_counts(printed, kept, len(rows) - len(different))
    return kept


def write_atomic(rows: list[Row], path: Path) -> None:
    lines = ["\t".join([_quoted(row.user), _quoted(row.item), repr(row.time), repr(row.rating)]) for row in rows]
    path.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


def prepare(table: Path, output: Path, drop: str) -> str:
    """What ``recbole-sigma prepare`` prints."""
    words = ["--user=user", "--item=item", "--time=time", "--rating=rating", f"--output={output}", f"--name={NAME}"]
    words += [f"--drop-{drop}"] * bool(drop)
    with redirect_stdout(io.StringIO()) as printed:
        code = main(["prepare", str(table), *words])
    assert code == 0, f"prepare ends with {code}: {printed.getvalue()}"
    return printed.getvalue()


def _check_counts(printed: str, kept: list[Row], copies: int) -> None:
    numbers = re.findall(r"([\d,]+) (users?|items?|interactions?|rows? (?:is an exact copy|are exact copies))", printed)
    counts = {word.split()[0].rstrip("s"): int(number.replace(",", "")) for number, word in numbers}
    expected = {
        "user": len({row.user for row in kept}),
        "item": len({row.item for row in kept}),
        "interaction": len(kept),
        **({"row": copies} if copies else {}),
    }
    assert counts == expected, f"prepare prints {printed}; expected {expected}"


def _times(case: Case) -> list[str]:
    draw = random.Random(case.seed)
    return [date_of(row.time, draw) if case.times_as_dates else repr(row.time) for row in case.rows]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in '",\t\n') else text


def _write_csv(case: Case, times: list[str], path: Path) -> None:
    lines = [
        ",".join([_quoted(row.item), times[number], "x", _quoted(row.user), str(row.rating)])
        for number, row in enumerate(case.rows)
    ]
    path.write_text("\n".join(["item,time,other,user,rating", *lines]) + "\n", encoding="utf-8")


def _write_parquet(case: Case, times: list[str], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    types = {"string": pyarrow.string(), "large_string": pyarrow.large_string(), "int": pyarrow.int64()}
    columns = {}
    for name in ("user", "item"):
        values, kind = [getattr(row, name) for row in case.rows], case.types[name]
        if kind in ("int", "float"):
            values = list(map(int, values))
        if kind == "float":
            columns[name] = pyarrow.array(list(map(float, values)), pyarrow.float64())
        elif kind == "dictionary":
            columns[name] = pyarrow.array(values, pyarrow.string()).dictionary_encode()
        else:
            columns[name] = pyarrow.array(values, types[kind])
    if case.times_as_dates and case.seed % 2:
        columns["time"] = pyarrow.array([round(seconds(time) * 1e6) for time in times], pyarrow.timestamp("us"))
    elif case.times_as_dates:
        columns["time"] = pyarrow.array(times)
    else:
        columns["time"] = pyarrow.array([row.time for row in case.rows], pyarrow.float64())
    columns["rating"] = pyarrow.array([row.rating for row in case.rows], pyarrow.float32())
    parquet.write_table(pyarrow.table(columns), path, row_group_size=7)
