"""Tests over users whether two models differ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import ttest_rel

from benchmarks.paper.ranks import decode


class Difference(NamedTuple):
    """Attributes:
    mean: mean over users of the first model's metric minus the second's.
    p: from a two-sided paired t-test over users; NaN if no user differs.
    seeds: number of seeds that both models have. The metric of a user is the mean over them.
    """

    mean: float
    p: float
    seeds: int


def compare(first: list[dict], second: list[dict], metric: str) -> Difference | None:
    """Compare two models, each given by its records; None if they have no seed on the same data in common.

    Args:
        metric: such as ``recall@20`` or ``ndcg@20``.
    """
    others = {(record["seed"], record["catalog"]["digest"]): record for record in second}
    pairs = [
        (record, other)
        for record in first
        if (other := others.get((record["seed"], record["catalog"]["digest"]))) is not None
    ]
    if not pairs:
        return None
    of_users = [
        np.mean([metric_of_users(decode(record["ranks"]), metric) for record in side], axis=0) for side in zip(*pairs)
    ]
    return Difference(float(np.mean(of_users[0] - of_users[1])), float(ttest_rel(*of_users).pvalue), len(pairs))


def metric_of_users(ranks: np.ndarray, metric: str) -> np.ndarray:
    """Recall or NDCG of each user from the rank of the one test item, which is 0 if the item was not found."""
    name, k = metric.split("@")
    found = (ranks > 0) & (ranks <= int(k))
    gain = {"recall": np.ones(len(ranks)), "ndcg": 1 / np.log2(np.maximum(ranks, 1) + 1.0)}[name]
    return np.where(found, gain, 0.0)
