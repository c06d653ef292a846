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

from recbole_sigma.data.atomic_file import check_atomic_file, explain_failure, read_texts
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

    A file whose name does not end in ``.csv`` or ``.parquet`` is read as an atomic file (``.inter``, ``.item`` and so
    on). The only missing values are empty texts, and nulls in Parquet.

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
        DataError: the file is missing, empty or damaged, lacks a column, or has a row without a user, an item or a
            time; the message names the row.
        MissingExtraError: the file is in Parquet, and pyarrow is not installed.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        raise DataError(f"{path} is a folder; expected a .csv, .parquet or atomic file (.inter) of interactions")
    if not os.path.isfile(path):
        raise DataError(f"{path} does not exist; expected a .csv, .parquet or atomic file (.inter) of interactions")
    names = columns.names()
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"column {name!r} is given twice; expected a different column for each")
    read_atomic = partial(_read_atomic, separator=separator, encoding=encoding)
    read = {".csv": _read_csv, ".parquet": _read_parquet}.get(os.path.splitext(path)[1].lower(), read_atomic)
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
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = next(filter(None, lines), None)
            if header is None:
                raise DataError(f"{path} is empty; expected a header line with the names of the columns")
            _require_columns(path, header, columns)
            chosen = _chosen(path, lines, header, columns)
            while block := list(islice(chosen, rows)):
                yield pd.DataFrame(block, columns=columns.names(), dtype=object)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error}); expected UTF-8: save it in that encoding") from error
    except csv.Error as error:
        raise DataError(f"{path}, line {lines.line_num}: {error}; expected comma-separated values") from error


def _chosen(path: str, lines: Iterator[list[str]], header: list[str], columns: Columns) -> Iterator[tuple[str, ...]]:
    """The fields of the columns of each line that is not blank."""
    choose = itemgetter(*map(header.index, columns.names()))
    for number, fields in enumerate(filter(None, lines), 1):
        if len(fields) != len(header):
            raise DataError(
                f"{path}, row {number} after the header: {len(fields)} columns; expected {len(header)} as in the "
                "header. A text with a comma or a line end stands in double quotes"
            )
        yield choose(fields)


def _read_parquet(path: str, columns: Columns, rows: int) -> Iterator[pd.DataFrame]:
    parquet = require("pyarrow.parquet", "parquet")
    import pyarrow

    try:
        with parquet.ParquetFile(path) as file:
            _require_columns(path, file.schema_arrow.names, columns)
            for batch in file.iter_batches(rows, columns=columns.names()):
                values = {name: _values(batch[name], name == columns.time) for name in columns.names()}
                yield pd.DataFrame(values, dtype=object)
    except (pyarrow.ArrowException, OSError, UnicodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _values(column, is_time: bool) -> np.ndarray:
    """A column of Parquet: seconds if it has times as dates, and texts otherwise."""
    import pyarrow

    types, kind = pyarrow.types, column.type
    if is_time and (types.is_date(kind) or types.is_timestamp(kind)):
        unit = kind.unit if types.is_timestamp(kind) else "ms"
        return _since_1970(column.cast(pyarrow.timestamp(unit)).to_numpy(zero_copy_only=False))
    return column.cast(pyarrow.string()).fill_null("").to_numpy(zero_copy_only=False)


def _seconds(path: str, times: pd.Series, dates: bool) -> pd.Series:
    seconds = to_seconds(times, dates)

    def problem(row: int) -> str:
        expected = ["a number"] * (row == 0 or not dates) + ["a date such as 2026-01-31 12:00:00"] * (row == 0 or dates)
        return f"{times.name} is {str(times[row])!r}; expected {' or '.join(expected)}" + ", as in the first row" * (
            row > 0
        )

    refuse_rows(path, ~np.isfinite(seconds), problem)
    return seconds


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
        seconds[some] = _since_1970(moments.dt.tz_localize(None).to_numpy())
    return seconds


def _since_1970(moments: np.ndarray) -> np.ndarray:
    """Seconds, rounded once, of a datetime64; NaN for NaT."""
    unit, _ = np.datetime_data(moments.dtype)
    count, per_second = moments.astype(np.int64), {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    if unit == "ns":  # of pandas 2; such counts have more digits than a float64
        whole, rest = np.divmod(count, per_second)
        seconds = whole + rest / per_second
    else:
        seconds = count / per_second
    return np.where(np.isnat(moments), np.nan, seconds)


def _is_date(value) -> bool:
    return _number(value, None) is None


def _number(value, otherwise: float | None = math.nan) -> float | None:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return otherwise
