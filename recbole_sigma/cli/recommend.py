"""Recommend items to the users of a file, or for one history, with a trained model.

It needs nothing but the checkpoint of a run:

  recbole-sigma recommend --checkpoint saved --history "B001 B002" -k 10
  recbole-sigma recommend --checkpoint saved --input histories.csv --output recs.csv"""

from __future__ import annotations

import argparse
import os
import sys

from recbole_sigma.cli.arguments import add_history, add_recommendation, split_history, split_times
from recbole_sigma.cli.loading import load_named
from recbole_sigma.errors import RequestError
from recbole_sigma.wording import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recommendation(parser)
    add_history(parser)
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="interactions of many users: .inter, .csv (also .gz, .zip) or .parquet, any size",
    )
    parser.add_argument("--output", metavar="FILE", help=".csv or .parquet; by default CSV on the standard output")
    parser.add_argument("--user", metavar="COLUMN", help="column of users in the input (default: as in training)")
    parser.add_argument("--item", metavar="COLUMN", help="column of items in the input (default: as in training)")
    parser.add_argument(
        "--time",
        metavar="COLUMN",
        help="column of times in the input (default: as in training; '' if the rows are in time order)",
    )
    parser.add_argument("--keep_seen", action="store_true", help="recommend items of the history as well")


def run(options: argparse.Namespace) -> int:
    if (options.history is None) == (options.input is None):
        raise RequestError("expected one of --history and --input")
    if options.input is None and (options.output is not None or options.user or options.item or options.time):
        raise RequestError("--output, --user, --item and --time go with --input")
    if options.history is None and options.times is not None:
        raise RequestError("--times goes with --history; --time names the column of times of --input")
    recommender = load_named(options)
    if options.input is None:
        from recbole_sigma.recommend.output import print_recommendation

        history = split_history(options.history, recommender.catalog)
        times = split_times(options.times)
        (one,) = recommender.recommend(
            [history], options.k, times=None if times is None else [times], keep_seen=options.keep_seen
        )
        print_recommendation(recommender, history, one, options.k)
        return 0
    return _recommend_file(recommender, options)


def _recommend_file(recommender, options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from recbole_sigma.data.tables import Columns
    from recbole_sigma.recommend.output import recommendations_written

    recommender.check_k(options.k)
    default = recommender.columns
    columns = Columns(
        options.user or default.user,
        options.item or default.item,
        default.time if options.time is None else options.time or None,
    )
    if (
        options.output is not None
        and os.path.exists(options.output)
        and os.path.samefile(options.input, options.output)
    ):
        raise RequestError(f"output is the input, {options.output}; expected another file")
    num_users = num_unknown = num_by_popularity = num_without = num_short = 0
    file = recommender.read(options.input, columns)
    with recommendations_written(options.output, recommender.catalog, columns) as write:
        with tqdm(unit=" interactions", unit_scale=True, disable=not sys.stderr.isatty()) as progress:
            for everyone in file:
                progress.total = file.num_interactions
                for batch in recommender.batches(everyone, options.k, options.keep_seen):
                    write(batch)
                    found = batch.num_items
                    num_users += len(batch.users)
                    num_without += int((found == 0).sum())
                    num_short += int(((found > 0) & (found < options.k)).sum())
                    num_unknown += int(batch.unknown.sum())
                    num_by_popularity += int(batch.by_popularity.sum())
                    progress.update(batch.num_interactions)
    _say(f"{_users(num_users, num_without)} of {options.input}, {_items(options.k, num_short)}: {_where(options)}")
    if num_without:
        _say(f"{counted(num_without, 'user')} had every item that the model knows: nothing is left to recommend")
    if num_short:
        _say(f"{counted(num_short, 'user')} had so many items that fewer than {options.k:,} are left")
    if num_unknown:
        was = "was" if num_unknown == 1 else "were"
        _say(f"{counted(num_unknown, 'interaction')} with items that the model does not know {was} skipped")
    if num_by_popularity:
        one = num_by_popularity == 1
        _say(
            f"{counted(num_by_popularity, 'user')} {'has' if one else 'have'} no item that it knows: "
            f"{'it gets' if one else 'they get'} the most popular items"
        )
    if recommender.reads_user_id:
        _say(f"{recommender.state['model']} reads the user. It knows nothing of users that it was not trained on")
    return 0


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _users(everyone: int, without: int) -> str:
    """The users that got recommendations."""
    if without:
        return f"recommendations for {everyone - without:,} of {counted(everyone, 'user')}"
    return counted(everyone, "user")


def _items(k: int, num_short: int) -> str:
    return f"up to {counted(k, 'item')} each" if num_short else f"{counted(k, 'item')} each"


def _where(options: argparse.Namespace) -> str:
    return options.output or "above"
