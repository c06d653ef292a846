"""Where models differ: by the length of a history, by its number of categories, and in what their lists are like.

Run from the root of the repository, with checkpoints of the same data set and split, several seeds of a model behind its
name:

    python -m benchmarks.paper.where --data_path dataset --category_field categories \\
        --models SIGMA=a.pth,b.pth,c.pth SASRecAP=d.pth,e.pth,f.pth

A model with several checkpoints has two rows: the mean of their results, and the result of their average (logits). A list of
members stands for a checkpoint; a model with such lists has the first row alone.
Differences are from the last model, of means from its mean and of averages from its average, with p of a paired t-test over
users.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import ttest_rel

import recbole_sigma
from benchmarks.markdown import markdown_table
from benchmarks.paper.significance import metric_of_users
from recbole_sigma.errors import RecBoleSigmaError
from recbole_sigma.evaluation.diversity import bit_masks, diversity_of_rows
from recbole_sigma.recommend import Recommender
from recbole_sigma.recommend.members import is_list
from recbole_sigma.report.held_out import open_test_rows
from recbole_sigma.report.quantiles import quantile_groups

CANDIDATES, SHOWN, GROUPS = 200, 20, 5
SMOOTHING = 0.01
"""Share of the history's categories that is mixed into those of a list, as in Steck (RecSys 2018)."""
METRICS = ("recall@20", "ndcg@20", "recall@100", "recall@200")


class Rows(NamedTuple):
    """The ``R`` rows of the test, the same for all models."""

    user: np.ndarray  # [R]
    target: np.ndarray  # [R]
    length: np.ndarray  # [R], of the whole history
    of_history: np.ndarray | None  # [R, C], share of each category in the history; None without categories


class Lists(NamedTuple):
    """What a model recommends."""

    rank: np.ndarray  # [R], of the target from 1; 0 beyond CANDIDATES
    items: np.ndarray  # [R, SHOWN], ids


class Shown(NamedTuple):
    """A row of the tables.

    Attributes:
        lists: of each seed, or of the average.
        is_average: whether it is the average of several checkpoints.
    """

    name: str
    lists: list[Lists]
    is_average: bool


class Categories(NamedTuple):
    """Categories of ``V`` items."""

    masks: torch.Tensor  # [V, W], as ``diversity`` reads them
    shares: np.ndarray  # [V, C], 1 / number of the item's categories, or 0


def main(words: list[str]) -> int:
    arguments = parse(words)
    rows, shown = None, []
    for name, paths in arguments.models:
        lists = []
        has_average = len(paths) > 1 and not any(map(is_list, paths))
        for checkpoint in [*paths, *([paths] if has_average else [])]:
            own, categories, ranked, num_items = rank(checkpoint, arguments)
            if rows is not None and not (
                np.array_equal(rows.user, own.user) and np.array_equal(rows.target, own.target)
            ):
                raise RecBoleSigmaError(f"{checkpoint} was tested on other rows than {arguments.models[0][1][0]}")
            rows = own
            lists.append(ranked)
        shown.append(Shown(name, lists[: len(paths)], False))
        if has_average:
            shown.append(Shown(f"{name}, average of {len(paths)}", lists[len(paths) :], True))
    print(f"Command: `{shlex.join(['python', '-m', 'benchmarks.paper.where', *words])}`\n")
    print(overall(rows, shown, categories, num_items))
    print(f"\n{by_group('items in the history', rows.length, shown)}")
    if rows.of_history is not None:
        print(f"\n{by_group('categories in the history', (rows.of_history > 0).sum(1), shown)}")
    return 0


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.paper.where", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", required=True, type=_named, metavar="NAME=FILE,FILE")
    parser.add_argument("--data_path", type=Path, help="folder of the data sets")
    parser.add_argument("--category_field", help="column of the .item file; without it nothing is said of categories")
    return parser.parse_args(words)


def _named(text: str) -> tuple[str, list[str]]:
    name, sign, paths = text.partition("=")
    if not (name and sign and all(paths.split(","))):
        raise argparse.ArgumentTypeError(f"{text!r}; expected NAME=FILE,FILE")
    return name, paths.split(",")


def rank(checkpoint: str | list[str], arguments: argparse.Namespace) -> tuple[Rows, Categories | None, Lists, int]:
    """Rank the test rows by a checkpoint, or by the average of several."""
    recommender = recbole_sigma.load(checkpoint, device="cpu")
    if arguments.category_field:
        config = recommender.state["config"]
        recommender.state["config"] = {
            **config,
            "category_field": arguments.category_field,
            "metrics": [*config["metrics"], "Diversity"],
        }
    loader = open_test_rows(recommender, arguments.data_path)
    categories = _categories(loader.dataset) if arguments.category_field else None
    parts = [_rank_batch(recommender, loader, batch, categories) for batch in loader]
    user, target, length, of_history, place, items = (np.concatenate(part) for part in zip(*parts))
    rows = Rows(user, target, length, of_history if categories else None)
    return rows, categories, Lists(place, items), loader.dataset.item_num - 1


def _rank_batch(recommender: Recommender, loader, batch, categories: Categories | None) -> tuple[np.ndarray, ...]:
    interaction, excluded, _, target = batch
    most = min(CANDIDATES, len(recommender.catalog))
    best = recommender.rank(interaction, most, excluded).items.cpu()
    hit = best == target.unsqueeze(1)
    place = torch.where(hit.any(1), 1 + hit.long().argmax(1), 0)
    row, item = (index.numpy() for index in excluded)
    length = np.bincount(row, minlength=len(target))
    shares = np.zeros((len(target), 0 if categories is None else categories.shares.shape[1]))
    if categories is not None:
        np.add.at(shares, row, categories.shares[item])
        shares /= np.maximum(shares.sum(1, keepdims=True), 1e-12)
    user = interaction[loader.dataset.uid_field].numpy()
    return user, target.numpy(), length, shares, place.numpy(), best[:, :SHOWN].numpy()


def _categories(dataset) -> Categories:
    item, category = dataset.item_categories
    shares = np.zeros((dataset.item_num, category.max() + 1))
    shares[item, category] = 1
    shares /= np.maximum(shares.sum(1, keepdims=True), 1)
    return Categories(bit_masks(item, category, dataset.item_num), shares)


def overall(rows: Rows, shown: list[Shown], categories: Categories | None, num_items: int) -> str:
    """A row for each model: its metrics, with their differences, and what its lists are like."""
    header = ["", *METRICS, f"coverage@{SHOWN}"]
    if categories is not None:
        header += [f"diversity@{SHOWN}", f"miscalibration@{SHOWN}"]
    lines = []
    for one in shown:
        base = base_of(one, shown)
        cells = [_with_difference(of_users(one.lists, metric), of_users(base.lists, metric)) for metric in METRICS]
        items = [lists.items for lists in one.lists]
        cells.append(f"{np.mean([len(np.unique(own[own > 0])) / num_items for own in items]):.3f}")
        if categories is not None:
            of_lists = [diversity_of_rows(torch.from_numpy(own), categories.masks)[:, -1] for own in items]
            cells.append(f"{np.mean([np.nanmean(part) for part in of_lists]):.3f}")
            cells.append(f"{np.mean([miscalibration(rows.of_history, own, categories) for own in items]):.3f}")
        lines.append([one.name, *cells])
    return markdown_table(header, lines)


def base_of(one: Shown, shown: list[Shown]) -> Shown:
    """The row of the last model that another row is compared with; its mean if it has no average."""
    return next((other for other in reversed(shown) if other.is_average == one.is_average), shown[-1])


def of_users(lists: list[Lists], metric: str) -> np.ndarray:
    """The metric of each row, a mean over the seeds."""
    return np.mean([metric_of_users(one.rank, metric) for one in lists], axis=0)


def _with_difference(values: np.ndarray, base: np.ndarray) -> str:
    if np.array_equal(values, base):
        return f"{values.mean():.4f}"
    return f"{values.mean():.4f} ({values.mean() - base.mean():+.4f}, p {ttest_rel(values, base).pvalue:.3f})"


def miscalibration(of_history: np.ndarray, items: np.ndarray, categories: Categories) -> float:
    """KL of the categories of a list from those of the history in nats, mean over rows; C_KL of Steck (RecSys 2018)."""
    of_list = categories.shares[items].sum(1)
    of_list /= np.maximum(of_list.sum(1, keepdims=True), 1e-12)
    mixed = (1 - SMOOTHING) * of_list + SMOOTHING * of_history
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(of_history > 0, of_history * np.log(of_history / mixed), 0)
    return float(terms.sum(1).mean())


def by_group(what: str, values: np.ndarray, shown: list[Shown]) -> str:
    """Recall@20 of each model in groups of rows."""
    groups = quantile_groups(values, GROUPS)
    metric = METRICS[0]
    header = [f"{metric} by {what}", *(f"{group.label} (n = {len(group.rows):,})" for group in groups)]
    lines = []
    for one in shown:
        own, base = (of_users(each.lists, metric) for each in (one, base_of(one, shown)))
        lines.append([one.name, *(_with_difference(own[group.rows], base[group.rows]) for group in groups)])
    return markdown_table(header, lines)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RecBoleSigmaError as error:
        sys.exit(str(error))
