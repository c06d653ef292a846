"""Write RecBole's atomic files from a table of interactions."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_sigma.config import known_datasets
from recbole_sigma.data.duplicates import Repeats, RowLog
from recbole_sigma.data.table_formats import table_name
from recbole_sigma.data.tables import Columns, read_table, refuse_rows, to_numbers
from recbole_sigma.errors import DataError
from recbole_sigma.safe_write import replace_file

READ_AS_MISSING = frozenset(
    "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan|null".split("|")
)
"""Texts that pandas, as RecBole calls it, reads as a missing value, even in quotes."""

PADDING = "[PAD]"
NEEDS_QUOTES = re.compile('["\t\r\n]')


class Written(NamedTuple):
    """The atomic files that were written: their paths, counts, and the first and last time."""

    name: str
    files: list[Path]
    users: int
    items: int
    interactions: int
    first_time: float
    last_time: float
    repeated: Repeats
    """Rows of the table that repeat others, those left out included."""


def write_atomic_files(
    path: str | os.PathLike,
    user: str,
    item: str,
    time: str,
    rating: str | None = None,
    title: str | None = None,
    output: str | os.PathLike = "dataset",
    name: str | None = None,
    overwrite: bool = False,
    drop_duplicates: bool = False,
    drop_repeats: bool = False,
) -> Written:
    """Write ``<output>/<name>/<name>.inter``, and ``<name>.item`` where there are titles, from a table.

    Rows keep their order, tokens their spelling, and numbers their float64 precision. The table is read in
    blocks, once, or twice if rows are left out; users, items, titles and 16 to 24 bytes a row are in memory.

    Args:
        path: of a CSV, Parquet or atomic file, as ``read_table`` reads it.
        user, item, time, rating, title: names of its columns. An item gets its first title that is not empty; tabs and
            line ends in it become single spaces.
        output: folder of data sets.
        name: of the data set; by default the name of the table without its suffix.
        overwrite: replace existing files.
        drop_duplicates: write one of rows with equal users, items, times and ratings.
        drop_repeats: write a user's earliest row with each item.

    Returns:
        What was written.

    Raises:
        DataError: the table cannot be read, or RecBole would not read one of its values from atomic files as it is. The
            message names the row, and nothing is written.
    """
    path = os.fspath(path)
    name = table_name(path) if name is None else name
    _check_name(name)
    folder = Path(output) / name
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise DataError(
            f"{folder} exists and is not empty; give --overwrite to replace its files, or another --output or --name"
        )
    columns = Columns(user, item, time, tuple(column for column in (rating, title) if column is not None))
    try:
        kept = _kept(path, columns, rating, drop_repeats) if drop_duplicates or drop_repeats else None
        return _write(path, columns, rating, title, folder, kept)
    finally:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _check_name(name: str) -> None:
    if name in ("", "..") or name != Path(name).name or "\0" in name:
        raise DataError(f"name is {name!r}; expected the name of a folder, without a path, as in --name=my-shop")
    if name in known_datasets():
        raise DataError(
            f"{name!r} is the name of a public data set, which has its own settings and files; expected another name, "
            f"as in --name=my-{name}"
        )


def _kept(path: str, columns: Columns, rating: str | None, repeats: bool) -> np.ndarray:
    log = RowLog()
    for frame in read_table(path, columns):
        log.add(frame[columns.user], frame[columns.item], _numbers(path, frame, columns, rating))
    return log.kept(repeats)


def _numbers(path: str, frame: pd.DataFrame, columns: Columns, rating: str | None) -> list[pd.Series]:
    return [frame[columns.time]] + ([_ratings(path, frame[rating])] if rating else [])


def _write(
    path: str, columns: Columns, rating: str | None, title: str | None, folder: Path, kept: np.ndarray | None
) -> Written:
    log, title_of_item, times, interactions = RowLog(), {}, [], 0
    inter, item_file = (folder / f"{folder.name}.{suffix}" for suffix in ("inter", "item"))
    with replace_file(inter) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float" + "\trating:float" * (rating is not None) + "\n")
        for frame in read_table(path, columns):
            for name in (columns.user, columns.item):
                _refuse_tokens(path, frame[name])
            numbers = _numbers(path, frame, columns, rating)
            log.add(frame[columns.user], frame[columns.item], numbers)
            if title:
                for token, text in frame[[columns.item, title]].drop_duplicates().itertuples(index=False):
                    title_of_item[token] = title_of_item.get(token) or text
            if kept is not None:
                stays = kept[frame.index]
                frame, numbers = frame[stays], [column[stays] for column in numbers]
            texts = [map(_quoted, frame[name]) for name in (columns.user, columns.item)]
            texts += [map(repr, column.tolist()) for column in numbers]
            file.writelines("\t".join(row) + "\n" for row in zip(*texts))
            interactions += len(frame)
            times += [frame[columns.time].min(), frame[columns.time].max()] if len(frame) else []
        if title:
            _write_titles(item_file, title_of_item)
        else:
            item_file.unlink(missing_ok=True)  # its titles are of the items of an earlier table
    files = [inter, item_file] if title else [inter]
    counts = len(log.users), len(log.items), interactions
    return Written(folder.name, files, *counts, min(times), max(times), log.counts())


def _write_titles(path: Path, titles: dict[str, str]) -> None:
    with replace_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write("item_id:token\ttitle:token\n")
        file.writelines(f"{_quoted(item)}\t{_quoted(' '.join(title.split()))}\n" for item, title in titles.items())


def _quoted(text: str) -> str:
    """A text as pandas reads it from atomic files."""
    return '"' + text.replace('"', '""') + '"' if NEEDS_QUOTES.search(text) else text


def _refuse_tokens(path: str, tokens: pd.Series) -> None:
    for wrong, reason in (
        (tokens.isin(READ_AS_MISSING), "which RecBole reads as a missing value"),
        (tokens == PADDING, "which is RecBole's name for padding"),
        (tokens.str.contains("\0", regex=False), "which has a NUL character"),
        (tokens.str.contains("\t") & tokens.str.contains("\n"), "which looks like rows: it has tabs and line ends"),
    ):
        refuse_rows(
            path, wrong, lambda row: f"{tokens.name} is {tokens[row]!r}, {reason}; expected another name for it"
        )


def _ratings(path: str, texts: pd.Series) -> pd.Series:
    ratings = to_numbers(texts)
    wrong = ratings.isna() | ratings.isin([float("inf"), float("-inf")])
    refuse_rows(path, wrong, lambda row: f"{texts.name} is {texts[row]!r}; expected a number")
    return ratings
