"""Write one HTML file that shows what a model learnt and how accurate it is; it opens without a network."""

from __future__ import annotations

import argparse

from recbole_sigma.cli.arguments import add_checkpoint
from recbole_sigma.cli.garbage import without_garbage_collection

EPILOG = """\
The parts about users need the data set of the training. Without it the report leaves them out and says so.

recbole-sigma report --checkpoint saved --output report.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_checkpoint(parser)
    parser.add_argument("--output", default="report.html", help="file to write (%(default)s)")
    parser.add_argument("--data_path", help="folder that contains that of the data set; by default as in training")


def run(options: argparse.Namespace) -> int:
    with without_garbage_collection():
        from recbole_sigma.report import write_report

    written = write_report(options.checkpoint, options.output, options.data_path, average=options.average)
    print(f"report: {written.path} ({written.path.stat().st_size / 1e6:.1f} MB)")
    if written.missing is not None:
        print(f"the parts about users are left out: {written.missing}")
    return 0
