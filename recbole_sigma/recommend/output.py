"""Recommendations as tables: on a terminal, as CSV and as Parquet."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import pandas as pd

from recbole_sigma.data.tables import Columns
from recbole_sigma.errors import RequestError
from recbole_sigma.extras import require
from recbole_sigma.recommend.catalog import Catalog
from recbole_sigma.recommend.recommender import Batch, Recommendation, Recommender
from recbole_sigma.safe_write import replace_file
from recbole_sigma.wording import counted

OWN_COLUMNS = ("rank", "score", "by_popularity", "title")
"""Columns of the output besides those of users and items."""


def as_table(batch: Batch, catalog: Catalog, columns: Columns) -> pd.DataFrame:
    """A row for each recommended item: user, rank from 1, item, score, whether it is by popularity, and title.

    The column of titles is left out if no item has one.
    """
    num_users, k = batch.items.shape
    table = pd.DataFrame(
        {
            columns.user: batch.users.repeat(k),
            "rank": np.tile(np.arange(1, k + 1), num_users),
            columns.item: catalog.tokens[batch.items].ravel(),
            "score": batch.scores.ravel(),
            "by_popularity": batch.by_popularity.repeat(k),
        }
    )
    if catalog.has_titles:
        table["title"] = catalog.titles[batch.items].ravel()
    return table[batch.items.ravel() > 0]


@contextmanager
def recommendations_written(
    path: str | os.PathLike | None, catalog: Catalog, columns: Columns
) -> Iterator[Callable[[Batch], None]]:
    """A function that writes batches to a file or to the standard output; the file appears when it is complete.

    Args:
        path: ends in .csv or .parquet; None for CSV on the standard output.

    Raises:
        RequestError: the path ends differently, or a column of the input has the name of a column of the output.
        MissingExtraError: the path ends in .parquet and pyarrow is not installed.
    """
    kind = os.path.splitext(path)[1].lower() if path is not None else ".csv"
    if kind not in (".csv", ".parquet"):
        raise RequestError(f"output is {os.fspath(path)!r}; expected a name that ends in .csv or .parquet")
    for name in (columns.user, columns.item):
        if name in OWN_COLUMNS:
            raise RequestError(
                f"column {name!r} of the input has the name of one of the output ({', '.join(OWN_COLUMNS)}); expected "
                "a different name: rename the column"
            )
    with ExitStack() as stack:
        target = sys.stdout if path is None else stack.enter_context(replace_file(path))
        if kind == ".parquet":
            write = stack.enter_context(_parquet_writer(target, columns, catalog.has_titles))
        else:
            write = stack.enter_context(_csv_writer(target))
        yield lambda batch: write(as_table(batch, catalog, columns))


@contextmanager
def _csv_writer(target) -> Iterator[Callable[[pd.DataFrame], None]]:
    with ExitStack() as stack:
        if target is not sys.stdout:
            target = stack.enter_context(open(target, "w", encoding="utf-8", newline=""))
        header = True

        def write(table: pd.DataFrame) -> None:
            nonlocal header
            table.to_csv(target, index=False, header=header, lineterminator="\n", float_format="%.9g")
            header = False

        yield write


@contextmanager
def _parquet_writer(target, columns: Columns, has_titles: bool) -> Iterator[Callable[[pd.DataFrame], None]]:
    arrow, parquet = require("pyarrow", "parquet"), require("pyarrow.parquet", "parquet")
    types = {columns.user: "string", "rank": "int64", columns.item: "string", "score": "float64"}
    types.update(by_popularity="bool", **({"title": "string"} if has_titles else {}))
    schema = arrow.schema([(name, arrow.type_for_alias(kind)) for name, kind in types.items()])
    with parquet.ParquetWriter(target, schema) as writer:
        yield lambda table: writer.write_table(arrow.Table.from_pandas(table, schema, preserve_index=False))


def what_is_missing(asked: int, found: int) -> str | None:
    """Why a user got ``found`` of the ``asked`` items, or None if that is all of them."""
    if not found:
        return "nothing is left to recommend: the history has every item that the model knows"
    if found < asked:
        return f"{counted(found, 'item')} of {asked:,}: the history has all others that the model knows"
    return None


def because_of(catalog: Catalog, reasons: Sequence[str]) -> str:
    """Why an item is recommended, in words: the titles of the reasons, or their tokens where there is none."""
    if not reasons:
        return "no single item decides"
    return "because you had " + " and ".join(
        catalog.titles[id_] or token for id_, token in zip(catalog.ids(reasons), reasons)
    )


def print_recommendation(
    recommender: Recommender,
    history: list[str],
    one: Recommendation,
    k: int,
    closest_interest: Sequence[int] = (),
    because: Sequence[Sequence[str]] = (),
) -> None:
    """Print a table to read, what was skipped, and why there are fewer than k items, if so.

    Args:
        history: item tokens that the recommendation is for.
        k: items that were asked for.
        closest_interest: for each recommended item, the number of the interest that scores it highest, if it is shown.
        because: for each recommended item, the items of the history that it is due to, if they are shown.
    """
    catalog = recommender.catalog
    ids = catalog.ids(one.items)
    width = max((len(token) for token in one.items), default=0)
    for rank, (id_, token, score) in enumerate(zip(ids, one.items, one.scores), 1):
        value = f"{score:,.0f}" if one.by_popularity else f"{score:.4f}"
        closest = f"  closest interest {closest_interest[rank - 1]}" if closest_interest else ""
        print(f"{rank:3d}  {token.ljust(width)}  {value:>10}{closest}  {catalog.titles[id_]}".rstrip())
        if because:
            print(f"     {because_of(catalog, because[rank - 1])}")
    missing = what_is_missing(k, len(one.items))
    if missing is not None:
        print(missing, file=sys.stderr)
    if one.unknown:
        unknown = [token for token, id_ in zip(history, catalog.ids(history)) if not id_]
        hint = " (items are separated by spaces)" if any("," in token for token in unknown) else ""
        print(f"skipped, not known to the model: {' '.join(unknown)}{hint}", file=sys.stderr)
    if one.by_popularity:
        print(
            "the model knows no item of the history: these are the most popular items, with their numbers of "
            "interactions",
            file=sys.stderr,
        )
