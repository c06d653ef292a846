"""Words that several commands take."""

from __future__ import annotations

import argparse
import os
import sys

from recbole_sigma.recommend import Recommender, load
from recbole_sigma.recommend.catalog import Catalog


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint", required=True, metavar="FILE", help="of a run of recbole-sigma, or a folder: the newest in it"
    )


def add_history(parser: argparse.ArgumentParser, more: str = "") -> None:
    parser.add_argument(
        "--history",
        nargs="+",
        metavar="ITEMS",
        help=f"item tokens of one user, oldest first, spaces between; a token with spaces in quotes of its own{more}",
    )


def split_history(words: list[str], catalog: Catalog) -> list[str]:
    """The tokens in the words of ``--history``: each a token that the model knows, or several with spaces between."""
    known = catalog.ids(words) > 0
    return [token for word, whole in zip(words, known) for token in ([word] if whole else word.split())]


def add_recommendation(parser: argparse.ArgumentParser) -> None:
    """The model and how many items it is asked for."""
    add_checkpoint(parser)
    parser.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    parser.add_argument("-k", type=int, default=10, metavar="K", help="items for each user (default: %(default)s)")


def load_named(options: argparse.Namespace) -> Recommender:
    """The recommender of the checkpoint that is given, which is named if it was looked for in a folder."""
    recommender = load(options.checkpoint, options.device)
    if os.path.isdir(options.checkpoint):
        state = recommender.state
        print(f"{state['model']} of {state['config'].get('dataset')}: {recommender.path}", file=sys.stderr)
    return recommender
