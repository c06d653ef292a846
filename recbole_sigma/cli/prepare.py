"""Write RecBole's atomic files from a CSV or Parquet table with a row for each interaction.

    recbole-sigma prepare shop.csv --user customer --item product --time date --title name

writes dataset/shop/shop.inter and dataset/shop/shop.item. Times are numbers, such as seconds, or dates such as
2026-01-31 12:00:00, in UTC where they name no zone. CSV is comma-separated, with a header line, in UTF-8; Parquet needs
pip install 'recbole-sigma[parquet]'."""

from __future__ import annotations

import argparse
import shlex
from datetime import datetime, timezone

LIKELY_SECONDS = (1e8, 4.2e9)
"""From 1973 to 2103: numbers in between are shown as dates, too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", help=".csv or .parquet file, or an atomic file")
    for name, meaning in (("user", "users"), ("item", "items"), ("time", "times")):
        parser.add_argument(f"--{name}", required=True, metavar="COLUMN", help=f"column of the {meaning}")
    parser.add_argument("--rating", metavar="COLUMN", help="column of ratings, to be kept as numbers")
    parser.add_argument("--title", metavar="COLUMN", help="column of the items' titles, to show items by")
    parser.add_argument("--output", default="dataset", help="folder of data sets (default: %(default)s)")
    parser.add_argument("--name", help="name of the data set (default: that of the table)")
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
    )
    words = ["recbole-sigma", "--model=SIGMA", f"--dataset={written.name}", f"--data_path={options.output}"]
    print(f"{written.name}: {written.users:,} users, {written.items:,} items, {written.interactions:,} interactions")
    print(f"times: {_span(written.first_time, written.last_time)}")
    print(f"files: {', '.join(map(str, written.files))}")
    print(f"next: {shlex.join(words + ['--title_field=title'] * bool(options.title))}")
    return 0


def _span(first: float, last: float) -> str:
    numbers = f"{first:.15g} to {last:.15g}"
    if LIKELY_SECONDS[0] <= first and last <= LIKELY_SECONDS[1]:
        dates = [datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S") for time in (first, last)]
        return f"{numbers} ({' to '.join(dates)} UTC, if these are seconds since 1970)"
    return numbers
