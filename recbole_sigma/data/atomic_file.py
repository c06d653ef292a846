"""Checks of atomic files before RecBole reads them. Errors name the file and the line."""

from __future__ import annotations

import codecs
import csv
from itertools import islice

import numpy as np
import pandas as pd

from recbole_sigma.data.quotes import Quotes, patterns, quotes_of, whole_lines
from recbole_sigma.errors import DataError

TYPES = ("token", "token_seq", "float", "float_seq")
ROWS = 1 << 18
"""Number of rows in memory at once."""


def check_atomic_file(path: str, separator: str, encoding: str | None = None) -> list[str]:
    """Check that the columns of the header are ``name:type`` and that every row has as many columns.

    Quoted fields may contain separators; ``quotes.py`` says which fields are quoted.

    Returns:
        The columns, ``name:type``.

    Raises:
        DataError: naming the file and the line.
    """
    with open(path, "rb") as file:
        first_line = file.readline()
    if first_line.startswith(codecs.BOM_UTF8) and encoding != "utf-8-sig":
        raise DataError(f"{path}, line 1: starts with a byte order mark; set encoding: utf-8-sig, or remove it")
    try:
        header = first_line.decode(encoding or "utf-8").rstrip("\r\n")
    except (UnicodeDecodeError, LookupError) as error:
        raise DataError(f"{path}, line 1: not {encoding or 'UTF-8'} text ({error}); set encoding") from error
    columns = header.split(separator)
    for column in columns:
        name, _, kind = column.rpartition(":")
        if not name or ":" in name or kind not in TYPES:
            raise DataError(
                f"{path}, line 1: column {column!r}; expected name:type with type one of {', '.join(TYPES)}, "
                f"columns separated by {separator!r} (field_separator)"
            )
    names = [column.rpartition(":")[0] for column in columns]
    if len(set(names)) < len(names):
        raise DataError(f"{path}, line 1: expected different columns, and one is there twice: {header}")
    if len(separator) == 1 and separator.isascii():
        quotes = quotes_of(path, separator)
        wrong = (
            _first_wrong_row(path, separator, len(columns))
            if quotes.span_lines
            else _first_wrong_line(path, separator.encode(), len(columns), quotes)
        )
        if wrong is not None:
            line, count = wrong
            raise DataError(f"{path}, line {line}: {count} columns; expected {len(columns)} as in the header")
    return columns


def _first_wrong_line(path: str, separator: bytes, num_columns: int, quotes: Quotes) -> tuple[int, int] | None:
    """Number of the first line with another number of columns, and that number."""
    num_lines = 0
    _, quoted = patterns(separator)
    for block in whole_lines(path):
        if quotes.enclose and b'"' in block:
            block = quoted.sub(b"text", block)
        counts, blank = _columns_of_lines(np.frombuffer(block, dtype=np.uint8), ord(separator))
        found = np.flatnonzero((counts != num_columns) & ~blank)  # pandas skips blank lines
        if len(found):
            return num_lines + int(found[0]) + 1, int(counts[found[0]])
        num_lines += len(counts)
    return None


def _first_wrong_row(path: str, separator: str, num_columns: int) -> tuple[int, int] | None:
    """Last line of the first row with another number of columns, and that number, in a file whose rows span lines."""
    longest = csv.field_size_limit(1 << 30)
    try:
        with open(path, encoding="latin-1", newline="") as file:
            rows = csv.reader(file, delimiter=separator)
            return next(((rows.line_num, len(row)) for row in rows if row and len(row) != num_columns), None)
    finally:
        csv.field_size_limit(longest)


def _columns_of_lines(data: np.ndarray, separator: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of columns of each line, and whether it is blank."""
    ends = np.flatnonzero(data == ord("\n"))
    if data[-1] != ord("\n"):
        ends = np.append(ends, len(data))
    separators_before = np.searchsorted(np.flatnonzero(data == separator), ends)
    counts = np.diff(separators_before, prepend=0) + 1
    length = np.diff(ends, prepend=-1) - 1
    return counts, (length == 0) | ((length == 1) & (data[ends - 1] == ord("\r")))


def read_texts(path: str, separator: str, encoding: str | None, **settings):
    """All columns as texts. ``settings`` go to ``pandas.read_csv``, which may raise a ValueError."""
    engine = {"engine": "c", "low_memory": False} if len(separator) == 1 else {"engine": "python"}
    settings = {**engine, "quoting": quoting(path, separator), **settings}
    return pd.read_csv(path, sep=separator, encoding=encoding, dtype=object, **settings)


def quoting(path: str, separator: str) -> int:
    """``quoting`` for ``pandas.read_csv``: whether quotes enclose fields or are text."""
    return csv.QUOTE_MINIMAL if quotes_of(path, separator).enclose else csv.QUOTE_NONE


def explain_failure(path: str, separator: str, encoding: str | None, error: Exception) -> DataError:
    """The error for a file that pandas could not read; it names the line of the first invalid float, if any."""
    engine = "c" if len(separator) == 1 else "python"
    layout = {"sep": separator, "encoding": encoding, "engine": engine, "skip_blank_lines": False, "index_col": False}
    layout["quoting"] = quoting(path, separator)
    try:
        with pd.read_csv(path, dtype=str, chunksize=ROWS, **layout) as reader:
            for rows in reader:
                for column in rows.columns[rows.columns.str.endswith(":float")]:
                    wrong = rows[column].notna() & pd.to_numeric(rows[column], errors="coerce").isna()
                    if wrong.any():
                        line, value = wrong.idxmax() + 2, rows[column][wrong.idxmax()]
                        name = column.rpartition(":")[0]
                        return DataError(f"{path}, line {line}: {name} is {value!r}; expected a number")
    except ValueError:
        pass  # the problem is not a float
    return DataError(f"{path} cannot be read: {error}")


def line_of_row(path: str, row: int) -> int | None:
    """Line number of a row, or None beyond the last. Rows count from 0, without the header and blank lines."""
    with open(path, "rb") as file:
        numbers = (number for number, line in enumerate(file, 1) if line.strip(b"\r\n"))
        return next(islice(numbers, row + 1, None), None)
