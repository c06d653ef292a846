"""Ranks of each user's item, and the test over users."""

import math
import random

import numpy as np
import pytest
import torch
from recbole.model.general_recommender import BPR
from recbole.model.sequential_recommender import SASRec
from scipy.stats import t as student

from benchmarks.paper import ranks
from benchmarks.paper.significance import compare, metric_of_users
from recbole_sigma.config import Config
from recbole_sigma.quick_start import build_run


@pytest.mark.parametrize("remove_seen", [False, True])
@pytest.mark.parametrize("model", [BPR, SASRec])
def test_ranks_are_in_the_order_of_users_whatever_the_model(model, remove_seen, toy_path, tmp_path, monkeypatch):
    """Items are ranked by their ids, so that the rank of a user's last item follows from the file."""
    monkeypatch.chdir(tmp_path)
    settings = {"data_path": str(toy_path), "remove_seen": remove_seen, "eval_batch_size": 7}
    parts = build_run(Config(model.__name__, "toy", config_dict=settings))

    def by_id(self, interaction):
        return -torch.arange(parts.dataset.item_num, dtype=torch.float32).repeat(len(interaction), 1)

    monkeypatch.setattr(model, "full_sort_predict", by_id)
    metrics, found = ranks.evaluate_with_ranks(parts.trainer, parts.test_data)
    histories = {}
    for line in (toy_path / "toy" / "toy.inter").read_text().splitlines()[1:]:
        user, item, _ = line.split("\t")
        histories.setdefault(user, []).append(parts.dataset.token2id("item_id", item))
    users = parts.dataset.id2token("user_id", list(range(1, parts.dataset.user_num)))
    expected = []
    for user in users:
        *seen, target = histories[user]
        left_out = set(seen) if remove_seen else set()
        ranked = [item for item in range(1, parts.dataset.item_num) if item not in left_out]
        expected.append(ranked.index(target) + 1 if target in ranked else 0)
    assert (0 in expected) == remove_seen
    assert found.tolist() == expected
    assert metrics["recall@20"] == pytest.approx(np.mean([0 < rank <= 20 for rank in expected]), abs=1e-4)


def test_ranks_are_text_and_back():
    given = np.array([0, 1, 40, 255, 0])
    assert ranks.decode(ranks.encode(given)).tolist() == given.tolist()
    with pytest.raises(ValueError, match="256; expected 255"):
        ranks.encode(np.array([256]))


def test_metrics_of_users_are_those_of_their_definition():
    given = np.array([0, 1, 2, 20, 21, 40], np.uint8)
    assert metric_of_users(given, "recall@20").tolist() == [0, 1, 1, 1, 0, 0]
    expected = [0, 1, 1 / math.log2(3), 1 / math.log2(21), 1 / math.log2(22), 1 / math.log2(41)]
    assert metric_of_users(given, "ndcg@40") == pytest.approx(expected)


def made(seed, given, digest="d"):
    return {"seed": seed, "ranks": ranks.encode(np.array(given)), "catalog": {"digest": digest}}


def test_the_test_over_users_is_that_of_the_formula():
    generator = random.Random(0)
    first, second = ([[generator.randrange(41) for _ in range(50)] for _ in range(2)] for _ in range(2))
    found = compare(
        [made(1, first[0]), made(2, first[1]), made(3, [1] * 50)],
        [made(2, second[1]), made(1, second[0]), made(4, [1] * 50)],
        "ndcg@20",
    )

    def gain(rank):
        return 1 / math.log2(rank + 1) if 0 < rank <= 20 else 0.0

    differences = [
        sum(gain(first[seed][user]) - gain(second[seed][user]) for seed in range(2)) / 2 for user in range(50)
    ]
    mean = sum(differences) / 50
    variance = sum((value - mean) ** 2 for value in differences) / 49
    statistic = mean / math.sqrt(variance / 50)
    assert found.mean == pytest.approx(mean) and found.seeds == 2
    assert found.p == pytest.approx(2 * student.sf(abs(statistic), 49))


def test_models_without_a_common_seed_or_of_other_data_are_not_compared():
    assert compare([made(1, [1, 2])], [made(2, [1, 2])], "recall@20") is None
    assert compare([made(1, [1, 2])], [made(1, [1, 2], "other")], "recall@20") is None
