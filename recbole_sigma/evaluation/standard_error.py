"""Standard errors over users of the metrics that are means over rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def standard_error(values: np.ndarray, users: np.ndarray, weights: np.ndarray | None = None) -> float | None:
    """Standard error of a weighted mean of rows, where the users and not the rows are a sample.

    With ``m`` the mean and ``e_u`` the sum of ``weight (value - m)`` over the rows of user ``u``, it is
    ``sqrt(U / (U - 1) sum e_u^2) / sum weight``: the linearised error of a ratio of two sums over users. For one row of
    each user and equal weights this is the standard deviation, with ``U - 1``, over the square root of ``U``.

    Args:
        values: ``[R]``.
        users: ``[R]``, a number from 0 for each row.
        weights: ``[R]``; by default 1.

    Returns:
        The standard error; None for less than two users.
    """
    weights = np.ones(len(values)) if weights is None else weights
    number = np.count_nonzero(np.bincount(users[weights > 0]))
    if number < 2:
        return None
    deviation = weights * (values - np.average(values, weights=weights))
    of_user = np.bincount(users, weights=deviation)
    return float(np.sqrt(number / (number - 1) * np.square(of_user).sum()) / weights.sum())


@contextmanager
def standard_errors(evaluator, users: np.ndarray) -> Iterator[dict[str, float]]:
    """Within this context an evaluation writes the standard error of each metric into the dict.

    These are the metrics that give RecBole a value of each row: those of ``topk_result``, such as Recall, NDCG and
    AveragePopularity; Diversity; GAUC, whose rows weigh as many as they have targets; and MAE and LogLoss. Metrics of
    all rows at once, such as ItemCoverage, GiniIndex, AUC and RMSE, have none. A row whose value is NaN, such as an
    empty list, belongs to none.

    Args:
        evaluator: RecBole's.
        users: ``[R]``, the user of each row of the evaluation, in its order.
    """
    errors: dict[str, float] = {}

    def add(key, values, weights=None, of=slice(None)):
        values, of_rows = np.asarray(values, dtype=np.float64), users[of]
        has_value = np.isfinite(values)
        error = standard_error(values[has_value], of_rows[has_value], None if weights is None else weights[has_value])
        if error is not None:
            errors[key] = error

    hooked = []
    for name, metric in evaluator.metric_class.items():
        for hook, make in _HOOKS:
            if hasattr(metric, hook) and (hook != "metric_info" or name in _VALUES_OF_ROWS):
                setattr(metric, hook, make(name, metric, getattr(metric, hook), add))
                hooked.append((metric, hook))
    try:
        yield errors
    finally:
        for metric, hook in hooked:
            delattr(metric, hook)


def _of_lists(name, metric, original, add):
    def topk_result(key, value):
        for k in metric.topk:
            add(f"{key}@{k}", value[:, k - 1])
        return original(key, value)

    return topk_result


def _of_rows(name, metric, original, add):
    def metric_info(*columns):
        add(name, *_VALUES_OF_ROWS[name](*columns))
        return original(*columns)

    return metric_info


_HOOKS = (("topk_result", _of_lists), ("metric_info", _of_rows))


def _area_of_rows(rank_sum, num_candidates, num_positive):
    """Share of the pairs of a positive and a negative item that are in the right order, for rows that have such."""
    rank_sum, num_positive = (np.ravel(rank_sum).astype(np.float64), np.asarray(num_positive, dtype=np.float64))
    num_negative = num_candidates - num_positive
    kept = np.flatnonzero((num_positive > 0) & (num_negative > 0))
    positive, negative = num_positive[kept], num_negative[kept]
    before = rank_sum[kept] - positive * (positive + 1) / 2  # pairs in the wrong order
    return 1 - before / (positive * negative), positive, kept


def _log_loss_of_rows(predicted, label):
    predicted = np.clip(np.float64(predicted), 1e-15, 1 - 1e-15)
    return (-np.log(np.where(label > 0, predicted, 1 - predicted)),)


_VALUES_OF_ROWS = {
    "gauc": _area_of_rows,
    "mae": lambda predicted, label: (np.abs(predicted - label),),
    "logloss": _log_loss_of_rows,
}
