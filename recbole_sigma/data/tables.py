"""Tables of interactions in atomic files, CSV and Parquet, read block by block."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_sigma.data import parquet_columns
from recbole_sigma.data.atomic_file import check_atomic_file, explain_failure, read_texts
from recbole_sigma.data.parquet_columns import since_1970
from recbole_sigma.data.table_formats import EXPECTED, format_of, opened_csv
from recbole_sigma.errors import DataError, close_matches
from recbole_sigma.extras import require

ROWS = 2**18
"""Number of rows in memory at once."""


class Columns(NamedTuple):
    """Names of the columns of a table of interactions; without ``time`` the rows are in time order."""

    user: str
    item: str
    time: str | None = None
    others: tuple[str, ...] = ()

    def names(self) -> list[str]:
        return [name for name in (self.user, self.item, self.time, *self.others) if name is not None]


def read_table(
    path: str | os.PathLike,
    columns: Columns,
    rows: int = ROWS,
    separator: str = "\t",
    encoding: str | None = None,
) -> Iterator[pd.DataFrame]:
    """Read columns of a table, ``rows`` rows at a time.

    CSV (also compressed: gz, bz2, xz, or a zip with one file), Parquet and atomic files are read. The only missing
    values are empty texts, and nulls and NaN in Parquet. Whole numbers in a Parquet column of floats or decimals give
    the tokens of a column of integers.

    Args:
        path: of the file.
        columns: names of the columns to read.
        rows: number of rows in memory at once.
        separator, encoding: of atomic files; CSV is comma-separated and in UTF-8.

    Yields:
        Frames with texts, and with float64 seconds in the column of the time. Numbers stay as they are. Dates are in
        UTC if they name no zone. A column has either numbers or dates. The index counts the rows of the whole table
        from 0, without blank lines.

    Raises:
        DataError: the file is missing, empty, damaged or of another format, lacks a column, has a column whose type
            makes no exact token or time, or has a row without a user, an item or a time; the message names the row.
        MissingExtraError: the file is in Parquet, and pyarrow is not installed.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        raise DataError(f"{path} is a folder; {EXPECTED}")
    if not os.path.isfile(path):
        raise DataError(f"{path} does not exist; {EXPECTED}")
    names = columns.names()
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"column {name!r} is given twice; expected a different column for each")
    read_atomic = partial(_read_atomic, separator=separator, encoding=encoding)
    read = {"csv": _read_csv, "parquet": _read_parquet, "atomic": read_atomic}[format_of(path)]
    start, dates = 0, None
    for frame in read(path, columns, rows):
        if frame.empty:
            continue
        frame.index = pd.RangeIndex(start, start + len(frame))
        start += len(frame)
        for name in (columns.user, columns.item):
            refuse_rows(path, frame[name] == "", lambda row: f"{name} is empty; expected a token")
        if columns.time is not None:
            dates = _is_date(frame[columns.time].iloc[0]) if dates is None else dates
            frame[columns.time] = _seconds(path, frame[columns.time], dates)
        yield frame
    if start == 0:
        raise DataError(f"{path} has a header and no rows; expected a row for each interaction")


def refuse_rows(path: str, wrong: pd.Series, problem) -> None:
    """Raise a DataError for the first row for which ``wrong`` is true; ``problem(row)`` describes the problem."""
    if wrong.any():
        row = wrong.idxmax()
        raise DataError(f"{path}, row {row + 1} after the header: {problem(row)}")


def _require_columns(path: str, present: Sequence[str], columns: Columns) -> None:
    for name in columns.names():
        if name not in present:
            close = close_matches(name, present)
            other = next((mark for mark in ";\t|" if len(present) == 1 and mark in present[0]), None)
            raise DataError(
                f"{path} has no column {name!r}; it has {', '.join(present) or 'none'}"
                + (f"; did you mean {close[0]}?" if close and other is None else "")
                + (f"; its columns seem to be separated by {other!r}, expected a comma" if other else "")
            )
        if list(present).count(name) > 1:
            raise DataError(f"{path} has two columns {name!r}; expected one")


def _read_atomic(
    path: str, columns: Columns, rows: int, separator: str, encoding: str | None
) -> Iterator[pd.DataFrame]:
    check_atomic_file(path, separator, encoding)
    try:
        header = read_texts(path, separator, encoding, nrows=0)
    except ValueError as error:  # pandas 2 decodes more than the header
        raise explain_failure(path, separator, encoding, error) from error
    name_of = {column: column.rpartition(":")[0] for column in header}
    _require_columns(path, list(name_of.values()), columns)
    wanted = {column: name for column, name in name_of.items() if name in columns.names()}
    try:
        with read_texts(
            path, separator, encoding, usecols=list(wanted), na_filter=False, chunksize=rows
        ) as frames:  # as the data sets are read
            for frame in frames:
                yield frame.rename(columns=wanted).fillna("")  # of rows that are too short
    except ValueError as error:  # ParserError and UnicodeDecodeError are of this kind
        raise explain_failure(path, separator, encoding, error) from error


def _read_csv(path: str, columns: Columns, rows: int) -> Iterator[pd.DataFrame]:
    with opened_csv(path) as file:
        lines = csv.reader(file, strict=True)
        try:
            header = next(filter(None, lines), None)
            if header is None:
                raise DataError(f"{path} is empty; expected a header line with the names of the columns")
            _require_columns(path, header, columns)
            chosen = _chosen(path, lines, header, columns)
            while block := list(islice(chosen, rows)):
                yield pd.DataFrame(block, columns=columns.names(), dtype=object)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path} is not UTF-8 text after line {lines.line_num} ({error}); expected UTF-8: save it in that "
                "encoding"
            ) from error
        except csv.Error as error:
            start = _line_of_broken_row(path)
            raise DataError(
                f"{path}, line {lines.line_num}: {error}; expected comma-separated values"
                + f". The row begins in line {start}, perhaps with a quote that is not closed"
                * (start < lines.line_num)
            ) from error


def _line_of_broken_row(path: str) -> int:
    """The line in which the first row begins that is not CSV."""
    with opened_csv(path) as file:
        lines, start = csv.reader(file, strict=True), 1
        try:
            for _ in lines:
                start = lines.line_num + 1
        except (csv.Error, UnicodeDecodeError):
            pass
    return start


def _chosen(path: str, lines: Iterator[list[str]], header: list[str], columns: Columns) -> Iterator[tuple[str, ...]]:
    """The fields of the columns of each line that is not blank."""
    choose = itemgetter(*map(header.index, columns.names()))
    number, last = 0, lines.line_num
    for fields in lines:
        first, last = last + 1, lines.line_num
        if not fields:
            continue
        number += 1
        if len(fields) != len(header):
            raise DataError(
                f"{path}, row {number} after the header: {len(fields)} columns; expected {len(header)} as in the "
                "header. A text with a comma or a line end stands in double quotes"
            )
        if last > first and _has_whole_lines(fields):
            raise DataError(
                f"{path}, lines {first} to {last}: a quote opens in the first and closes in the last, and each line has "
                f"{len(header)} columns without it; expected quotes that close in their line, or no line end in a text"
            )
        yield choose(fields)


def _has_whole_lines(fields: list[str]) -> bool:
    """Whether every line of a row that has several would be a row of its own: a quote has swallowed rows."""
    commas = len(fields) - 1
    return commas > 0 and all(line.count(",") == commas for line in ",".join(fields).splitlines())


def _read_parquet(path: str, columns: Columns, rows: int) -> Iterator[pd.DataFrame]:
    parquet = require("pyarrow.parquet", "parquet")
    import pyarrow

    read = {columns.user: parquet_columns.tokens, columns.item: parquet_columns.tokens}
    read.update(dict.fromkeys(columns.others, parquet_columns.others))
    if columns.time is not None:
        read[columns.time] = parquet_columns.times
    start = 0
    try:
        with parquet.ParquetFile(path) as file:
            _require_columns(path, file.schema_arrow.names, columns)
            for batch in file.iter_batches(rows, columns=columns.names()):
                values = {}
                for name in columns.names():
                    try:
                        values[name] = read[name](batch[name])
                    except parquet_columns.Problem as problem:
                        raise parquet_columns.refuse(path, name, problem, start) from problem
                yield pd.DataFrame(values, dtype=object)
                start += batch.num_rows
    except (pyarrow.ArrowException, OSError, UnicodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _seconds(path: str, times: pd.Series, dates: bool) -> pd.Series:
    seconds = to_seconds(times, dates)

    def problem(row: int) -> str:
        expected = ["a number"] * (row == 0 or not dates) + ["a date such as 2026-01-31 12:00:00"] * (row == 0 or dates)
        return f"{times.name} is {str(times[row])!r}; expected {' or '.join(expected)}" + ", as in the first row" * (
            row > 0
        )

    refuse_rows(path, ~np.isfinite(seconds), problem)
    if not dates:
        refuse_rows(
            path,
            _rounded(times, seconds),
            lambda row: (
                f"{times.name} is {times[row]}, which float64 cannot tell from its neighbours above 2**53; "
                "expected smaller numbers, such as seconds or milliseconds since 1970"
            ),
        )
    return seconds


def _rounded(times: pd.Series, numbers: pd.Series) -> pd.Series:
    """Which integers are not those of their float64."""
    large = numbers.abs() > 2**53
    rounded = pd.Series(False, numbers.index)
    if large.any():
        texts = times[large].astype(str).str.strip()
        rounded[large] = [
            text.lstrip("+-").isdigit() and int(text) != int(number) for text, number in zip(texts, numbers[large])
        ]
    return rounded


def to_numbers(values: pd.Series) -> pd.Series:
    """Texts as float64, NaN for texts that are not numbers."""
    return pd.Series([_number(value) for value in values], values.index, dtype=np.float64)


def to_seconds(times: pd.Series, dates: bool | None = None) -> pd.Series:
    """Times as numbers: numbers as they are, dates as seconds since 1970.

    Args:
        times: numbers, numbers as texts, or dates as texts in the format of ISO 8601.
        dates: whether they are dates; by default the first value decides.

    Returns:
        float64, NaN for values of the other kind.
    """
    if not (_is_date(times.iloc[0]) if dates is None else dates):
        return to_numbers(times)
    texts = times.astype(object).where(times.astype(str).str.match(r"\d{4}-\d"))  # pandas reads "now" and "2020" too
    has_zone = times.astype(str).str.contains(r"[T ].*(?:Z|[+-]\d\d(?::?\d\d)?)$")
    seconds = pd.Series(np.nan, times.index)
    for some in (has_zone, ~has_zone):  # apart: pandas 2 gives a date without a zone the one before it
        moments = pd.to_datetime(texts[some], errors="coerce", utc=True, format="ISO8601")
        seconds[some] = since_1970(moments.dt.tz_localize(None).to_numpy())
    return seconds


def _is_date(value) -> bool:
    return _number(value, None) is None


def _number(value, otherwise: float | None = math.nan) -> float | None:
    try:
        return otherwise if isinstance(value, str) and "_" in value else float(value)  # 2026_01_31 is no number
    except (ValueError, OverflowError):
        return otherwise
