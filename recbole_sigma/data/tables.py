"""Interactions in the files that people have: atomic files, CSV and Parquet, block by block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_sigma.data.atomic_file import check_atomic_file
from recbole_sigma.errors import DataError
from recbole_sigma.extras import require
from recbole_sigma.settings import nearest

ROWS = 2**18
"""Rows that are in memory at once."""


class Columns(NamedTuple):
    """Names of the columns of a table of interactions; without ``time`` the rows are in the order of time."""

    user: str
    item: str
    time: str | None = None
    others: tuple[str, ...] = ()


def read_table(
    path: str | os.PathLike, columns: Columns, rows: int = ROWS, separator: str = "\t"
) -> Iterator[pd.DataFrame]:
    """The columns of a table, ``rows`` rows at a time.

    The name ends in ``.csv``, ``.parquet``, or it is an atomic file (``.inter``, ``.item`` and so on).

    Args:
        separator: of the columns of atomic files.

    Yields:
        Frames with texts in the columns named, and float64 seconds in that of the time. Numbers are taken as they are,
        dates and times are in UTC where they name no zone. The index counts the rows of the whole table from 0.

    Raises:
        DataError: the file is missing or damaged, lacks a column, or has a row without a user, an item or a time; the
            message names the row.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise DataError(f"{path} does not exist; expected a .csv, .parquet or atomic file (.inter) of interactions")
    read = {".csv": _read_csv, ".parquet": _read_parquet}.get(os.path.splitext(path)[1].lower(), _read_atomic)
    start = 0
    for frame in read(path, columns, rows, separator):
        frame.index = pd.RangeIndex(start, start + len(frame))
        start += len(frame)
        yield _checked(frame, path, columns)


def _names(columns: Columns) -> list[str]:
    return [name for name in (columns.user, columns.item, columns.time, *columns.others) if name is not None]


def _require_columns(path: str, present: Sequence[str], columns: Columns) -> None:
    for name in _names(columns):
        if name not in present:
            close = nearest(name, present)
            raise DataError(
                f"{path} has no column {name!r}; it has {', '.join(present) or 'none'}"
                + (f"; did you mean {close[0]}?" if close else "")
            )
        if list(present).count(name) > 1:
            raise DataError(f"{path} has two columns {name!r}; expected one")


def _read_text(path: str, names: dict[str, str], rows: int, **layout) -> Iterator[pd.DataFrame]:
    """Columns of a text file as texts; ``names`` says what those of the file are called in the result."""
    try:
        with pd.read_csv(
            path, usecols=list(names), dtype=str, keep_default_na=False, chunksize=rows, low_memory=False, **layout
        ) as frames:
            for frame in frames:
                yield frame.rename(columns=names)
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _read_atomic(path: str, columns: Columns, rows: int, separator: str) -> Iterator[pd.DataFrame]:
    check_atomic_file(path, separator)
    with open(path, encoding="utf-8") as file:
        header = file.readline().rstrip("\r\n").split(separator)
    name_of = {column: column.rpartition(":")[0] for column in header}
    _require_columns(path, list(name_of.values()), columns)
    wanted = {column: name for column, name in name_of.items() if name in _names(columns)}
    return _read_text(path, wanted, rows, sep=separator)


def _read_csv(path: str, columns: Columns, rows: int, separator: str) -> Iterator[pd.DataFrame]:
    try:
        header = pd.read_csv(path, nrows=1, dtype=str, encoding="utf-8-sig", header=None, keep_default_na=False)
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path} is empty; expected a header line with the names of the columns") from error
    except ValueError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    present = header.iloc[0].tolist()
    _require_columns(path, present, columns)
    return _read_text(path, {name: name for name in _names(columns)}, rows, encoding="utf-8-sig")


def _read_parquet(path: str, columns: Columns, rows: int, separator: str) -> Iterator[pd.DataFrame]:
    parquet = require("pyarrow.parquet", "parquet")
    from pyarrow import ArrowException

    try:
        with parquet.ParquetFile(path) as file:
            _require_columns(path, file.schema_arrow.names, columns)
            for batch in file.iter_batches(rows, columns=_names(columns)):
                frame = batch.to_pandas()
                for name in (columns.user, columns.item, *columns.others):
                    missing = frame[name].isna()
                    frame[name] = frame[name].astype(str).mask(missing, "")
                yield frame
    except (ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _checked(frame: pd.DataFrame, path: str, columns: Columns) -> pd.DataFrame:
    for name in (columns.user, columns.item):
        _refuse(frame[name] == "", path, f"{name} is empty; expected a token")
    if columns.time is not None:
        times = frame[columns.time]
        seconds = to_seconds(times)
        wrong = ~np.isfinite(seconds)
        if wrong.any():
            value = times[wrong.idxmax()]
            _refuse(
                wrong, path, f"{columns.time} is {value!r}; expected a number, or a date such as 2026-01-31 12:00:00"
            )
        frame[columns.time] = seconds
    return frame


def _refuse(wrong: pd.Series, path: str, problem: str) -> None:
    if wrong.any():
        raise DataError(f"{path}, row {wrong.idxmax() + 1} after the header: {problem}")


def to_seconds(times: pd.Series) -> pd.Series:
    """Numbers as they are; where there is none, dates and times as seconds since 1970; NaN for anything else."""
    if not pd.api.types.is_datetime64_any_dtype(times):
        seconds = pd.to_numeric(times, errors="coerce").astype(np.float64)
        if seconds.notna().any():
            return seconds
    dates = pd.to_datetime(times, errors="coerce", utc=True, format="ISO8601")
    return (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
