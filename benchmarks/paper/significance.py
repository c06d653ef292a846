"""Whether two models differ, tested over the users of a data set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import ttest_rel

from benchmarks.paper.ranks import decode


class Difference(NamedTuple):
    """Attributes:
    mean: of the first model's metric minus the second's.
    p: of a paired t-test, two-sided.
    seeds: common to both models; the metric of a user is the mean over them.
    """

    mean: float
    p: float
    seeds: int


def compare(first: list[dict], second: list[dict], metric: str) -> Difference | None:
    """The difference of two models, each given by its records; None if no seed is common to both.

    Args:
        metric: as ``recall@20`` or ``ndcg@20``.
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
    """Recall or NDCG of each user, who has one item to be found, at rank 0 if it was not."""
    name, k = metric.split("@")
    found = (ranks > 0) & (ranks <= int(k))
    gain = {"recall": np.ones(len(ranks)), "ndcg": 1 / np.log2(np.maximum(ranks, 1) + 1.0)}[name]
    return np.where(found, gain, 0.0)
