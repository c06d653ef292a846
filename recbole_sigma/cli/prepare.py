"""Write RecBole's atomic files from a CSV or Parquet table with a row for each interaction.

    recbole-sigma prepare shop.csv --user customer --item product --time date --title name

writes dataset/shop/shop.inter and dataset/shop/shop.item. Times are numbers, such as seconds, or dates such as
2026-01-31 12:00:00, in UTC where they name no zone. CSV is comma-separated, with a header line, in UTF-8, and may be
compressed (.csv.gz, .csv.bz2, .csv.xz, or a .zip with one file); Parquet (.parquet, .pq, .parq) needs
pip install 'recbole-sigma[parquet]'."""

from __future__ import annotations

import argparse
import shlex
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from recbole_sigma.wording import counted

if TYPE_CHECKING:
    from recbole_sigma.data.atomic_writer import Written

LIKELY_SECONDS = (1e8, 4.2e9)
"""From 1973 to 2103: numbers in between are shown as dates, too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", help="CSV or Parquet file, or an atomic file")
    for name, meaning in (("user", "users"), ("item", "items"), ("time", "times")):
        parser.add_argument(f"--{name}", required=True, metavar="COLUMN", help=f"column of the {meaning}")
    parser.add_argument("--rating", metavar="COLUMN", help="column of ratings, to be kept as numbers")
    parser.add_argument("--title", metavar="COLUMN", help="column of the items' titles, to show items by")
    parser.add_argument("--output", default="dataset", help="folder of data sets (default: %(default)s)")
    parser.add_argument("--name", help="name of the data set (default: that of the table)")
    parser.add_argument(
        "--drop-duplicates", action="store_true", help="write one of rows with the same user, item, time and rating"
    )
    parser.add_argument("--drop-repeats", action="store_true", help="write a user's earliest row with each item")
    parser.add_argument("--overwrite", action="store_true", help="replace the files of a data set that is there")


def run(options: argparse.Namespace) -> int:
    from recbole_sigma.data.atomic_writer import write_atomic_files

    written = write_atomic_files(
        options.table,
        options.user,
        options.item,
        options.time,
        options.rating,
        options.title,
        options.output,
        options.name,
        options.overwrite,
        options.drop_duplicates,
        options.drop_repeats,
    )
    words = ["recbole-sigma", "--model=SIGMA", f"--dataset={written.name}", f"--data_path={options.output}"]
    counts = counted(written.users, "user"), counted(written.items, "item")
    print(f"{written.name}: {', '.join(counts)}, {counted(written.interactions, 'interaction')}")
    _print_repeats(written, options)
    print(f"times: {_span(written.first_time, written.last_time)}")
    print(f"files: {', '.join(map(str, written.files))}")
    print(f"next: {shlex.join(words + ['--title_field=title'] * bool(options.title))}")
    return 0


def _print_repeats(written: Written, options: argparse.Namespace) -> None:
    duplicates, repeats = written.repeated
    if duplicates:
        dropped = options.drop_duplicates or options.drop_repeats
        copies = "is an exact copy" if duplicates == 1 else "are exact copies"
        way_out = "left out" if dropped else "--drop-duplicates leaves them out"
        print(f"duplicates: {counted(duplicates, 'row')} {copies} of an earlier one ({way_out})")
    if repeats:
        have = "has" if repeats == 1 else "have"
        way_out = "left out" if options.drop_repeats else "--drop-repeats keeps the earliest"
        print(f"repeats: {counted(repeats, 'row')} {have} the user and the item of another one ({way_out})")


def _span(first: float, last: float) -> str:
    numbers = f"{first:.15g} to {last:.15g}"
    if LIKELY_SECONDS[0] <= first and last <= LIKELY_SECONDS[1]:
        dates = [datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S") for time in (first, last)]
        return f"{numbers} ({' to '.join(dates)} UTC, if these are seconds since 1970)"
    return numbers
