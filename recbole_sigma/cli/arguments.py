"""Options that several commands take."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recbole_sigma.recommend.catalog import Catalog


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        required=True,
        nargs="+",
        metavar="FILE",
        help="of a run of recbole-sigma, or a folder: the newest in it; several, or a list of members, are averaged",
    )
    parser.add_argument(
        "--average",
        metavar="OF",
        help="logits (default) or probabilities: what is averaged of several checkpoints",
    )


def add_history(parser: argparse.ArgumentParser, more: str = "") -> None:
    parser.add_argument(
        "--history",
        nargs="+",
        metavar="ITEMS",
        help=f"item tokens of one user, oldest first, spaces between; a token with spaces in quotes of its own{more}",
    )
    parser.add_argument(
        "--times",
        nargs="+",
        metavar="TIME",
        help="time of each item of --history, for models that read times: a number as in the training data, or a date",
    )


def split_history(words: list[str], catalog: Catalog) -> list[str]:
    """The tokens in the words of ``--history``: each a token that the model knows, or several with spaces between."""
    known = catalog.ids(words) > 0
    return [token for word, whole in zip(words, known) for token in ([word] if whole else word.split())]


def split_times(words: list[str] | None) -> list[str] | None:
    """The times in the words of ``--times``: each word is one time, or several with spaces between."""
    if words is None:
        return None
    return [time for word in words for time in ([word] if _is_time(word) else word.split())]


def _is_time(word: str) -> bool:
    import pandas as pd

    from recbole_sigma.data.tables import to_seconds

    return bool(to_seconds(pd.Series([word])).notna().all())


def add_recommendation(parser: argparse.ArgumentParser) -> None:
    """The model and how many items it is asked for."""
    add_checkpoint(parser)
    parser.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    parser.add_argument("-k", type=int, default=10, metavar="K", help="items for each user (default: %(default)s)")
