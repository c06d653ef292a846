"""Write what a checkpoint learnt and how well it does as one HTML file, which needs no network to be opened."""

from __future__ import annotations

import argparse

from recbole_sigma.cli.arguments import add_checkpoint
from recbole_sigma.cli.garbage import without_garbage_collection

EPILOG = """\
What is shown of users needs the data set of the training. Without it the report is written all the same, and says
what is missing.

recbole-sigma report --checkpoint saved --output report.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_checkpoint(parser)
    parser.add_argument("--output", default="report.html", help="file to write (%(default)s)")
    parser.add_argument("--data_path", help="folder that holds the folder of the data set; by default as in training")


def run(options: argparse.Namespace) -> int:
    with without_garbage_collection():
        from recbole_sigma.report import write_report

    written = write_report(options.checkpoint, options.output, options.data_path)
    print(f"report: {written.path} ({written.path.stat().st_size / 1e6:.1f} MB)")
    if written.missing is not None:
        print(f"what is shown of users is left out: {written.missing}")
    return 0
