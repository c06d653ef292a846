"""Errors in atomic files, found before RecBole reads them, with the file and the line."""

from __future__ import annotations

import codecs
from itertools import islice

import numpy as np
import pandas as pd

from recbole_sigma.errors import DataError

TYPES = ("token", "token_seq", "float", "float_seq")


def check_atomic_file(path: str, separator: str, encoding: str | None = None) -> None:
    """Refuse a file whose header is not ``name:type`` or whose rows have another number of columns.

    Quoted fields may hold separators, so that rows of files with quotes are not counted.

    Raises:
        DataError: naming the file and the line.
    """
    with open(path, "rb") as file:
        content = file.read()
    if content.startswith(codecs.BOM_UTF8) and encoding != "utf-8-sig":
        raise DataError(f"{path}, line 1: starts with a byte order mark; set encoding: utf-8-sig, or remove it")
    try:
        header = content.split(b"\n", 1)[0].decode(encoding or "utf-8").rstrip("\r")
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
    if len(set(columns)) < len(columns):
        raise DataError(f"{path}, line 1: a column stands there twice: {header}")
    if len(separator) == 1 and b'"' not in content:
        _check_column_counts(path, content, separator.encode(), len(columns))


def _check_column_counts(path: str, content: bytes, separator: bytes, num_columns: int) -> None:
    data = np.frombuffer(content.rstrip(b"\r\n"), dtype=np.uint8)
    newlines = np.flatnonzero(data == ord("\n"))
    separators_before = np.searchsorted(np.flatnonzero(data == ord(separator)), np.append(newlines, len(data)))
    counts = np.diff(separators_before, prepend=0) + 1
    starts = np.append(0, newlines + 1)
    # pandas skips blank lines.
    blank = (np.append(newlines, len(data)) - starts <= 1) & (counts == 1)
    wrong = np.flatnonzero((counts != num_columns) & ~blank)
    if len(wrong):
        line = wrong[0]
        raise DataError(f"{path}, line {line + 1}: {counts[line]} columns; expected {num_columns} as in the header")


def explain_failure(path: str, separator: str, encoding: str | None, error: Exception) -> DataError:
    """The error to raise when pandas could not read a file: with the line of the first float that is none, if any."""
    engine = "c" if len(separator) == 1 else "python"
    try:
        text = pd.read_csv(path, sep=separator, dtype=str, encoding=encoding, engine=engine, skip_blank_lines=False)
    except ValueError:
        return DataError(f"{path} cannot be read: {error}")
    for column in text.columns[text.columns.str.endswith(":float")]:
        wrong = text[column].notna() & pd.to_numeric(text[column], errors="coerce").isna()
        if wrong.any():
            line = wrong.to_numpy().argmax()
            value = text[column].iloc[line]
            return DataError(f"{path}, line {line + 2}: {column.rpartition(':')[0]} is {value!r}; expected a number")
    return DataError(f"{path} cannot be read: {error}")


def line_of_row(path: str, row: int) -> int:
    """Number of the line of a row, counted from 0 after the header as pandas does, which skips blank lines."""
    with open(path, "rb") as file:
        numbers = (number for number, line in enumerate(file, 1) if line.strip(b"\r\n"))
        return next(islice(numbers, row + 1, None))
