"""Numbers that count items, from counts of the rows of the files."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import recbole
from recbole.data.utils import create_samplers

from recbole_sigma import run_recbole_sigma
from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders
from recbole_sigma.quick_start import build_run
from tests.cases.made_up import base, write_atomic

ML_100K = Path(recbole.__file__).parent / "dataset_example" / "ml-100k" / "ml-100k.inter"
PLAIN = {"MAX_ITEM_LIST_LENGTH": 10, "epochs": 1, "state": "error"}
SMALL = {"hidden_size": 8, "inner_size": 8}


def by_user(rows):
    """Items of each user in time order."""
    users = {}
    for user, item, time in sorted(rows, key=lambda row: float(row[2])):
        users.setdefault(user, []).append(item)
    return users


def training_counts(rows):
    """How often each item is in the training data; the last two items of each user are held out, but none of the first
    two."""
    return Counter(item for items in by_user(rows).values() for item in items[: max(2, len(items) - 2)])


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {**PLAIN, "data_path": str(write_atomic(tmp_path, base()))}


@pytest.mark.parametrize("batch", [None, 16, 60_000])
def test_case_01_pop_counts_every_interaction(tmp_path, monkeypatch, batch):
    """Of a user, items with more training interactions than the target are before it, and those with as many either."""
    monkeypatch.chdir(tmp_path)
    rows = [line.split("\t") for line in ML_100K.read_text().splitlines()[1:]]
    settings = {"epochs": 1, "state": "error", "metric_decimal_place": 6}
    if batch:
        settings["train_batch_size"] = batch
    config = Config("Pop", "ml-100k", config_dict=settings)
    kept = create_dataset(config)
    users, items = (set(kept.field2id_token[field][1:]) for field in ("user_id", "item_id"))
    rows = [(row[0], row[1], row[3]) for row in rows if float(row[2]) >= 4 and row[0] in users and row[1] in items]
    counts, worst, best = training_counts(rows), 0, 0
    for seen in by_user(rows).values():
        target, seen = seen[-1], set(seen[:-1])
        above = sum(count > counts[target] for item, count in counts.items() if item not in seen)
        equal = sum(count == counts[target] for item, count in counts.items() if item not in seen | {target})
        best += above < 20
        worst += above + equal < 20
    recall = run_recbole_sigma("Pop", "ml-100k", config_dict=settings)["test_result"]["recall@20"]
    assert worst / len(users) <= recall + 1e-6 and recall <= best / len(users) + 1e-6
    assert 0.136 < recall < 0.139


def test_pop_counts_interactions_and_no_sampled_negatives(settings):
    parts = build_run(Config("Pop", "d", config_dict={**settings, "topk": [5], "valid_metric": "Recall@5"}))
    parts.trainer.fit(parts.train_data, saved=False, verbose=False)
    token = parts.dataset.field2id_token["item_id"]
    found = {token[item]: int(count) for item, count in enumerate(parts.model.item_cnt) if count}
    assert found == training_counts(base())


@pytest.mark.parametrize("model", ["SASRecAP", "SASRec", "BPR", "Pop"])
def test_case_08_average_popularity_is_of_all_training_interactions(settings, model):
    parts = build_run(Config(model, "d", config_dict={**settings, "metrics": ["AveragePopularity"], "topk": [5]}
                             | {"valid_metric": "AveragePopularity@5"}))  # fmt: skip
    expected = training_counts(base())
    assert expected.total() == 517
    data = parts.trainer.eval_collector.data_struct
    token = parts.dataset.field2id_token["item_id"]
    found = {token[item]: count for item, count in data.get("data.count_items").items()}
    assert found == {f"i{item}": expected[f"i{item}"] for item in range(40)}


def test_case_08_coverage_is_of_the_items_without_the_padding(settings):
    """A small model shows each of the 40 items in one of 60 lists of 20."""
    settings = {**settings, "metrics": ["AveragePopularity", "ItemCoverage"], "valid_metric": "ItemCoverage@5"}
    result = run_recbole_sigma("SASRecAP", "d", config_dict={**settings, **SMALL, "topk": [5, 20]})["test_result"]
    assert result["itemcoverage@20"] == 1.0


def few_events(lengths):
    """A user for each length, who takes as many items one after the other; the items go around."""
    rows, item = [], 0
    for user, length in enumerate(lengths):
        for place in range(length):
            rows.append((f"u{user}", f"i{item % 7}", 100 * place + user))
            item += 1
    return rows


@pytest.mark.parametrize("lengths", [[1, 2, 3, 4] * 4, [2] * 5 + [5], [3] * 9])
def test_users_of_few_events_count_alike_for_every_model(tmp_path, monkeypatch, lengths):
    monkeypatch.chdir(tmp_path)
    write_atomic(tmp_path, few_events(lengths))
    expected = training_counts(few_events(lengths))
    users = [min(length, max(2, length - 2)) for length in lengths]
    for model in ("SASRecAP", "SASRec", "BPR"):
        given = {**PLAIN, "data_path": str(tmp_path), "topk": [2], "valid_metric": "Recall@2"}
        config = Config(model, "d", config_dict=given)
        train = create_loaders(config, create_dataset(config))[0].dataset
        tokens = train.field2id_token["item_id"]
        assert {tokens[item]: count for item, count in train.item_counter.items()} == expected
        assert sorted(train.user_counter.values()) == sorted(users)


def test_a_first_interaction_after_the_moment_of_the_split_is_no_training(tmp_path, monkeypatch):
    """Nine users at first, and one whose four interactions come last."""
    monkeypatch.chdir(tmp_path)
    rows = [(f"u{user}", f"i{(user + place) % 6}", 10 * place + user) for user in range(9) for place in range(8)]
    late = [("late", f"i{place}", 1_000 + place) for place in range(4)]
    write_atomic(tmp_path, rows + late)
    eval_args = {"split": {"RS": [0.6, 0.2, 0.2]}, "group_by": "none", "order": "TO"}
    config = Config("SASRecAP", "d", config_dict={**PLAIN, "data_path": str(tmp_path), "eval_args": eval_args,
                                                  "topk": [2], "valid_metric": "Recall@2"})  # fmt: skip
    train = create_loaders(config, create_dataset(config))[0].dataset
    cut = max(train.inter_feat["timestamp"].tolist())
    assert train.item_counter.total() == sum(time <= cut for _, _, time in rows)
    assert train.field2token_id["user_id"]["late"] not in train.user_counter


def draws(sampler, users, num):
    return sampler.sample_by_user_ids(np.array(users), np.zeros(len(users), dtype=np.int64), num)


@pytest.mark.parametrize("model, alpha", [("BPR", 1.0), ("BPR", 0.5), ("SASRec", 1.0)])
def test_a_sampler_draws_by_training_interactions(settings, model, alpha):
    """Shares of 200,000 draws, within five standard errors of the definition, for items that the user does not have."""
    negatives = {"distribution": "popularity", "sample_num": 1, "alpha": alpha, "dynamic": False, "candidate_num": 0}
    given = {**settings, "train_neg_sample_args": negatives, "loss_type": "BPR"} if model == "SASRec" else {
        **settings, "train_neg_sample_args": negatives}  # fmt: skip
    config = Config(model, "d", config_dict={**given, "topk": [5], "valid_metric": "Recall@5"})
    dataset = create_dataset(config)
    sampler = create_samplers(config, dataset, dataset.build())[0]
    counts = training_counts(base())
    user, num = "u0", 200_000
    own = set(by_user(base())[user][:-2]) if model == "BPR" else set()
    weight = {item: count**alpha for item, count in counts.items() if item not in own}
    np.random.seed(0)
    drawn = draws(sampler, [dataset.field2token_id["user_id"][user]] * num, 1)
    found = Counter(dataset.field2id_token["item_id"][drawn].tolist())
    assert found.keys() == weight.keys()
    for item, own_weight in weight.items():
        share = own_weight / sum(weight.values())
        assert abs(found[item] / num - share) < 5 * (share * (1 - share) / num) ** 0.5


@pytest.mark.parametrize("remove_seen", [True, False])
@pytest.mark.parametrize("model", ["SASRecAP", "BPR"])
def test_candidates_by_popularity_are_drawn_by_training_interactions(settings, model, remove_seen):
    config = Config(model, "d", config_dict={**settings, "eval_args": {"mode": "pop20"}, "remove_seen": remove_seen,
                                             "topk": [5], "valid_metric": "Recall@5"})  # fmt: skip
    dataset = create_dataset(config)
    sampler = create_loaders(config, dataset)[2]._sampler
    history = by_user(base())["u0"]
    own = set(history) if remove_seen else set()
    weight = {item: count for item, count in training_counts(base()).items() if item not in own}
    np.random.seed(0)
    drawn = draws(sampler, [dataset.field2token_id["user_id"]["u0"]] * 100_000, 1)
    found = Counter(dataset.field2id_token["item_id"][drawn].tolist())
    assert found.keys() == weight.keys()
    for item, own_weight in weight.items():
        share = own_weight / sum(weight.values())
        assert abs(found[item] / 100_000 - share) < 5 * (share * (1 - share) / 100_000) ** 0.5


def test_a_sampler_never_draws_minus_one():
    """Shares whose sums round to less than 1 left -1 in RecBole's table."""
    from recbole.sampler.sampler import AbstractSampler

    class Draws(AbstractSampler):
        def _get_candidates_list(self):
            return [item for item in range(1, 50) for _ in range(item)]

        def get_used_ids(self):
            return None

    sampler = Draws("popularity", 0.37)
    assert set(sampler.sampling(50_000).tolist()) == set(range(1, 50))
    sampler.cumulative = sampler.cumulative - 1e-3
    assert sampler.sampling(50_000).max() == 49
