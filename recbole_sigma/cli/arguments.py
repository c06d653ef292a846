"""Words that several commands take."""

from __future__ import annotations

import argparse


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint", required=True, metavar="FILE", help="of a run of recbole-sigma, or a folder: the newest in it"
    )


def add_recommendation(parser: argparse.ArgumentParser) -> None:
    """The model and how many items it is asked for."""
    add_checkpoint(parser)
    parser.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    parser.add_argument("-k", type=int, default=10, metavar="K", help="items for each user (default: %(default)s)")
