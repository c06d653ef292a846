"""Standard errors over users, from values of users that plain Python counts."""

import math
import statistics

import numpy as np
import pytest

from recbole_sigma import Config
from recbole_sigma.data.held_out import row_users
from recbole_sigma.evaluation.standard_error import standard_error, standard_errors
from recbole_sigma.quick_start import build_run
from tests.cases.made_up import base, write_atomic


def by_hand(values, users, weights):
    """The error of the ratio of two sums, with a loop over users."""
    total = sum(weights)
    mean = sum(weight * value for weight, value in zip(weights, values)) / total
    of_user = {}
    for value, user, weight in zip(values, users, weights):
        if weight:
            of_user[user] = of_user.get(user, 0.0) + weight * (value - mean)
    number = len(of_user)
    return math.sqrt(number / (number - 1) * sum(error**2 for error in of_user.values())) / total


def test_one_row_of_each_user_gives_the_error_of_a_mean():
    values = [0.0, 1.0, 0.0, 0.5, 0.25]
    expected = statistics.stdev(values) / math.sqrt(5)
    assert standard_error(np.array(values), np.array([4, 1, 9, 2, 3])) == pytest.approx(expected, rel=1e-12)


def test_rows_of_a_user_are_no_independent_values():
    """Each row ten times is the same information: the error stays, where an error over rows would shrink."""
    values, users = np.array([0.0, 1.0, 0.0, 0.5]), np.arange(4)
    once = standard_error(values, users)
    assert standard_error(values.repeat(10), users.repeat(10)) == pytest.approx(once, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_several_rows_and_weights(seed):
    draw = np.random.default_rng(seed)
    values, users, weights = draw.random(50), draw.integers(1, 12, 50), draw.integers(0, 4, 50).astype(float)
    expected = by_hand(values.tolist(), users.tolist(), weights.tolist())
    assert standard_error(values, users, weights) == pytest.approx(expected, rel=1e-12)


def test_it_is_the_spread_of_the_mean_over_samples_of_users():
    """2,000 samples of 200 users with 1 to 5 rows that agree within a user."""
    draw = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(2000):
        count = draw.integers(1, 6, 200)
        values = draw.random(200).repeat(count)
        means.append(values.mean())
        errors.append(standard_error(values, np.arange(200).repeat(count)))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.05)


def test_a_single_user_has_no_error():
    assert standard_error(np.array([1.0, 0.0]), np.array([3, 3])) is None


METRICS = ["Recall", "NDCG", "Hit", "MRR", "MAP", "Precision", "AveragePopularity", "ItemCoverage", "GAUC"]


@pytest.mark.parametrize(
    "model, eval_args",
    [
        ("BPR", {}),
        ("SASRecAP", {}),
        ("SASRecAP", {"split": {"RS": [0.6, 0.2, 0.2]}}),
        ("BPR", {"split": {"RS": [0.6, 0.2, 0.2]}}),
        ("BPR", {"mode": "uni10"}),
    ],
)
def test_errors_are_those_of_lists_that_are_read_one_by_one(tmp_path, monkeypatch, model, eval_args):
    monkeypatch.chdir(tmp_path)
    write_atomic(tmp_path, base())
    settings = {"data_path": str(tmp_path), "topk": [3, 10], "valid_metric": "Recall@3", "metrics": METRICS}
    settings.update({"hidden_size": 8, "inner_size": 8} if model == "SASRecAP" else {}, state="error")
    parts = build_run(Config(model, "d", config_dict={**settings, "eval_args": eval_args, "metric_decimal_place": 12}))
    trainer, collected = parts.trainer, []
    evaluate = trainer.evaluator.evaluate
    trainer.evaluator.evaluate = lambda data: collected.append(data) or evaluate(data)
    users = row_users(parts.test_data)
    with standard_errors(trainer.evaluator, users) as errors:
        result = trainer.evaluate(parts.test_data, load_best_model=False)
    hits = collected[0].get("rec.topk").tolist()  # of each row: whether place 1, 2, ... is a target; number of targets
    assert len(hits) == len(users)
    for k in (3, 10):
        values = {
            "recall": [sum(row[:k]) / row[-1] for row in hits],
            "precision": [sum(row[:k]) / k for row in hits],
            "hit": [float(any(row[:k])) for row in hits],
            "mrr": [next((1 / (place + 1) for place in range(k) if row[place]), 0.0) for row in hits],
            "ndcg": [
                sum(hit / math.log2(place + 2) for place, hit in enumerate(row[:k]))
                / sum(1 / math.log2(place + 2) for place in range(min(k, row[-1])))
                for row in hits
            ],
        }
        for name, of_rows in values.items():
            key = f"{name}@{k}"
            assert result[key] == pytest.approx(np.mean(of_rows), abs=1e-9)
            expected = by_hand(of_rows, users.tolist(), [1.0] * len(of_rows))
            assert errors[key] == pytest.approx(expected, rel=1e-9, abs=1e-12), key
        assert errors[f"map@{k}"] > 0 and errors[f"averagepopularity@{k}"] > 0
        assert f"itemcoverage@{k}" not in errors
    ranks = collected[0].get("rec.meanrank").numpy().astype(float)  # sum of ranks of targets, candidates, targets
    area = [
        1 - (rank_sum - num * (num + 1) / 2) / (num * (candidates - num))
        for rank_sum, candidates, num in ranks.tolist()
    ]
    weights = ranks[:, 2].tolist()
    assert result["gauc"] == pytest.approx(np.average(area, weights=weights), abs=1e-6)
    assert errors["gauc"] == pytest.approx(by_hand(area, users.tolist(), weights), rel=1e-6)
    assert not any("topk_result" in vars(metric) for metric in trainer.evaluator.metric_class.values())
