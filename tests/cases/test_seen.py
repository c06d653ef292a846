"""What a user had before: evaluation and recommendation agree, for every rule, from plain loops over the files."""

import itertools
import math
import random

import pytest

from recbole_sigma import load, run_recbole_sigma
from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders
from recbole_sigma.data.repeats import highest_recall, repeats
from recbole_sigma.quick_start import build_run
from recbole_sigma.training.seen_rules import results_by_rule
from tests.cases.made_up import write_atomic

SMALL = {name: {"hidden_size": 8, "inner_size": 8, "n_layers": 1} for name in ("SIGMA", "SASRecAP", "SASRec")}
COMMON = {"epochs": 1, "metrics": ["Recall", "NDCG"], "metric_decimal_place": 10, "state": "error"}
ITEMS = 30


def shopping(users=60, items=ITEMS, seed=3):
    """Rows of users with different shares of repeats, the last ones of whom have had almost every item."""
    draw = random.Random(seed)
    rows = []
    for user in range(users):
        if user >= users - 6:
            own = draw.sample(range(items), items - draw.randint(2, 3))  # RecBole's samplers refuse users of all items
        else:
            own = draw.sample(range(items), draw.randint(5, 12))
        own += draw.choices(own, k=user % 4)  # things bought before, for three of four users
        if user % 8 == 1:
            own.append(draw.choice([item for item in range(items) if item not in own] or own))
        rows += [(f"u{user}", f"i{item}", 1000 * user + time) for time, item in enumerate(own)]
    return rows


def histories_and_targets(rows, held_out=1):
    """Items before the last ones of each user in the order of time, and the last ones."""
    items = {}
    for user, item, time in sorted(rows, key=lambda row: row[2]):
        items.setdefault(user, []).append(item)
    return {user: (own[:-held_out], own[-held_out:]) for user, own in items.items()}


def recall_and_ndcg(lists, targets, k):
    """Means over the users, each with one target; both arguments by user."""
    ranks = [
        items[:k].index(targets[user]) + 1 if targets[user] in items[:k] else None for user, items in lists.items()
    ]
    recall = sum(rank is not None for rank in ranks) / len(ranks)
    return recall, sum(1 / math.log2(1 + rank) for rank in ranks if rank is not None) / len(ranks)


def settings(folder, model="", **others):
    common = {**COMMON, "data_path": str(folder), "topk": [5, 10], "valid_metric": "Recall@5", **SMALL.get(model, {})}
    return {**common, **others}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def evaluated(model, folder, **others):
    """A trained run of a general or a sequential model, its test result, and its evaluated lists in tokens by user."""
    others["metrics"] = [*others.get("metrics", COMMON["metrics"]), "ItemCoverage"]  # which reads the lists
    parts = build_run(Config(model, "d", config_dict=settings(folder, model, **others)))
    trainer, dataset = parts.trainer, parts.dataset
    trainer.fit(parts.train_data, None, saved=False)
    users, items = [], []
    collect, evaluate = trainer.eval_collector.eval_batch_collect, trainer.evaluator.evaluate
    trainer.eval_collector.eval_batch_collect = lambda scores, rows, *rest: (
        users.append(rows["user_id"].unique_consecutive().cpu()),
        collect(scores, rows, *rest),
    )
    trainer.evaluator.evaluate = lambda struct: (items.append(struct.get("rec.items")), evaluate(struct))[1]
    result = trainer.evaluate(parts.test_data, load_best_model=False)
    names, tokens = dataset.field2id_token["user_id"], dataset.field2id_token["item_id"]
    trainer.eval_collector.eval_batch_collect, trainer.evaluator.evaluate = collect, evaluate
    ids = itertools.chain.from_iterable(part.tolist() for part in users)
    lists = {names[user]: [tokens[item] if item else None for item in own] for user, own in zip(ids, items[0].tolist())}
    return parts, result, lists


@pytest.mark.parametrize("max_length", [3, 50])
@pytest.mark.parametrize("remove_seen", [True, False])
@pytest.mark.parametrize("model", SMALL)
def test_case_21_the_test_result_is_that_of_what_is_recommended(tmp_path, model, remove_seen, max_length):
    write_atomic(tmp_path, shopping())
    given = settings(tmp_path, model, remove_seen=remove_seen, MAX_ITEM_LIST_LENGTH=max_length)
    result = run_recbole_sigma(model, "d", config_dict=given)
    held_out = histories_and_targets(shopping())
    recommended = load(result["checkpoint"]).recommend(
        [history for history, _ in held_out.values()], k=10, keep_seen=not remove_seen
    )
    lists = {user: one.items for user, one in zip(held_out, recommended)}
    targets = {user: target for user, (_, (target,)) in held_out.items()}
    assert any(target in held_out[user][0] for user, target in targets.items())
    for k in (5, 10):
        recall, ndcg = recall_and_ndcg(lists, targets, k)
        assert result["test_result"][f"recall@{k}"] == pytest.approx(recall, abs=1e-7)
        assert result["test_result"][f"ndcg@{k}"] == pytest.approx(ndcg, abs=1e-6)
        assert recall > 0


@pytest.mark.parametrize("remove_seen", [True, False])
@pytest.mark.parametrize("model", ["BPR", "Pop"])
def test_case_21_the_test_result_is_that_of_the_evaluated_lists(tmp_path, model, remove_seen):
    write_atomic(tmp_path, shopping())
    parts, result, lists = evaluated(model, tmp_path, remove_seen=remove_seen)
    held_out = histories_and_targets(shopping())
    targets = {user: target for user, (_, (target,)) in held_out.items()}
    assert sorted(lists) == sorted(targets)
    for k in (5, 10):
        recall, ndcg = recall_and_ndcg(lists, targets, k)
        assert result[f"recall@{k}"] == pytest.approx(recall, abs=1e-7) and recall > 0
        assert result[f"ndcg@{k}"] == pytest.approx(ndcg, abs=1e-6)
    names, ids = parts.dataset.field2id_token["item_id"], parts.dataset.token2id
    for user, (history, _) in held_out.items():
        own = [item for item in lists[user] if item is not None]
        left = {f"i{item}" for item in range(ITEMS)} - (set(history) if remove_seen else set())
        assert set(own) <= left and len(own) == len(set(own)) == min(10, len(left))
        if model == "BPR":
            row = parts.test_data.dataset.inter_feat[[int(n) for n in range(len(held_out))]]
            scores = parts.model.full_sort_predict(row).view(len(held_out), -1)
            mine = scores[row["user_id"].tolist().index(int(ids("user_id", user)))].tolist()
            order = sorted((i for i in range(1, len(names)) if names[i] in left), key=mine.__getitem__, reverse=True)
            assert own == [names[i] for i in order[:10]]


def regulars(users=100, items=20):
    """Users whose last four purchases are things that they had bought before."""
    draw = random.Random(5)
    rows = []
    for user in range(users):
        own = draw.sample(range(items), 8)
        own += draw.sample(own, 4)
        rows += [(f"u{user}", f"i{item}", time) for time, item in enumerate(own)]
    return rows


def test_case_21_repeats_are_misses_and_the_other_rules_are_shown(tmp_path, capsys):
    write_atomic(tmp_path, regulars())
    result = run_recbole_sigma("Pop", "d", config_dict=settings(tmp_path, state="info"))
    assert result["test_result"]["recall@5"] == result["test_result"]["recall@10"] == 0
    by_rule = result["test_result_by_rule"]
    assert by_rule["removed"] == result["test_result"]
    assert by_rule["recbole"]["recall@10"] > by_rule["kept"]["recall@10"] > 0
    shown = capsys.readouterr()
    text = shown.out + shown.err
    assert text.count("100 of 100 test targets (100.0%) are items that the user had before") == 1
    assert "0.0000 for Recall@5, 0.0000 for Recall@10" in text
    for rule in ("kept", "recbole"):
        assert f"recall@5 {by_rule[rule]['recall@5']:.4f}" in text
    kept = run_recbole_sigma("Pop", "d", config_dict=settings(tmp_path, remove_seen=False))
    assert kept["test_result"] == by_rule["kept"] and "test_result_by_rule" not in kept


def test_case_21_few_repeats_are_not_tested_twice(tmp_path, monkeypatch):
    rows = []
    for user in range(200):
        own = [(user + step) % 23 for step in range(6)]
        if user < 2:  # 1 %
            own[-1] = own[0]
        rows += [(f"u{user}", f"i{item}", time) for time, item in enumerate(own)]
    write_atomic(tmp_path, rows)
    assert "test_result_by_rule" not in run_recbole_sigma("Pop", "d", config_dict=settings(tmp_path))
    rows[3 * 6 - 1] = (*rows[2 * 6][:2], 9)  # 1.5 %
    write_atomic(tmp_path, rows)
    assert "test_result_by_rule" in run_recbole_sigma("Pop", "d", config_dict=settings(tmp_path))


@pytest.mark.parametrize("model", ["SASRecAP", "SIGMA"])
def test_results_by_rule_are_those_of_one_full_order(tmp_path, model):
    write_atomic(tmp_path, shopping())
    result = run_recbole_sigma(model, "d", config_dict=settings(tmp_path, model, MAX_ITEM_LIST_LENGTH=4))
    held_out = histories_and_targets(shopping())
    everything = load(result["checkpoint"]).recommend(
        [history for history, _ in held_out.values()], k=ITEMS, keep_seen=True
    )
    for rule, metrics in result["test_result_by_rule"].items():
        lists = {}
        for (user, (history, (target,))), one in zip(held_out.items(), everything):
            left_out = {"removed": set(history), "kept": set(), "recbole": set(history) - {target}}[rule]
            lists[user] = [item for item in one.items if item not in left_out]
        targets = {user: target for user, (_, (target,)) in held_out.items()}
        for k in (5, 10):
            recall, ndcg = recall_and_ndcg(lists, targets, k)
            assert metrics[f"recall@{k}"] == pytest.approx(recall, abs=1e-7)
            assert metrics[f"ndcg@{k}"] == pytest.approx(ndcg, abs=1e-6)
    assert list(result["test_result_by_rule"]) == ["removed", "kept", "recbole"]


class Board:
    """Shows evaluations as RecBole's logger for wandb does."""

    log_wandb = True

    def __init__(self):
        self.shown = []

    def log_eval_metrics(self, metrics, head):
        self.shown += [metrics] * self.log_wandb


def test_results_by_rule_leave_the_loader_with_its_own_and_wandb_with_the_test(tmp_path):
    write_atomic(tmp_path, shopping())
    parts, result, _ = evaluated("BPR", tmp_path)
    board = parts.trainer.wandblogger = Board()
    by_rule = results_by_rule(parts.trainer, parts.test_data)
    assert not board.shown and board.log_wandb
    assert by_rule["removed"] == pytest.approx(result) and len({str(one) for one in by_rule.values()}) == 3
    assert parts.trainer.evaluate(parts.test_data, load_best_model=False) == result


def split_by_ratio(rows):
    """For each user, items of the training, the validation and the test by [0.6, 0.2, 0.2], from RecBole's counts."""
    parts = {}
    for user, (before, (last,)) in histories_and_targets(rows).items():
        own = [*before, last]
        num_test = num_valid = int(0.2 * len(own))
        parts[user] = (
            own[: len(own) - num_valid - num_test],
            own[len(own) - num_valid - num_test : len(own) - num_test],
            own[len(own) - num_test :],
        )
    return parts


def test_the_highest_recall_of_several_targets(tmp_path):
    """General models: a list for each user, with all test items that differ."""
    write_atomic(tmp_path, shopping())
    given = settings(tmp_path, eval_args={"split": {"RS": [0.6, 0.2, 0.2]}, "group_by": "user"})
    config = Config("BPR", "d", config_dict=given)
    _, valid, test = create_loaders(config, create_dataset(config))
    for loader, number in ((valid, 1), (test, 2)):
        count, repeated = 0, 0
        shares = {k: [] for k in (1, 2, 10)}
        for parts in split_by_ratio(shopping()).values():
            before, positive = set().union(*parts[:number]), set(parts[number])
            count, repeated = count + len(positive), repeated + len(positive & before)
            if positive:
                for k, found in shares.items():
                    found.append(min(k, len(positive - before)) / len(positive))
        assert repeats(loader) == (count, repeated) and 0 < repeated < count
        for k, found in shares.items():
            assert highest_recall(loader, k) == pytest.approx(sum(found) / len(found))


@pytest.mark.parametrize("model", ["SASRecAP", "SASRec", "FEARec"])
def test_repeats_of_sequences_count_the_whole_history(tmp_path, model):
    write_atomic(tmp_path, shopping())
    config = Config(model, "d", config_dict=settings(tmp_path, model, MAX_ITEM_LIST_LENGTH=2))
    _, _, test = create_loaders(config, create_dataset(config))
    held_out = histories_and_targets(shopping())
    expected = sum(target in history for history, (target,) in held_out.values())
    assert repeats(test) == (60, expected)
    assert highest_recall(test, 5) == pytest.approx(1 - expected / 60)


@pytest.mark.parametrize("mode", ["uni5", "pop5"])
@pytest.mark.parametrize("model", ["SASRecAP", "SASRec", "BPR"])
def test_case_21_among_sampled_candidates_too(tmp_path, model, mode):
    """All of six candidates are in a list of ten, so that Recall@10 is the share of targets that may be found."""
    rows = [row for row in shopping() if int(row[0][1:]) < 54]  # the others have no item left to draw
    write_atomic(tmp_path, rows)
    held_out = histories_and_targets(rows)
    new = sum(target not in history for history, (target,) in held_out.values()) / len(held_out)
    parts, result, lists = evaluated(model, tmp_path, eval_args={"mode": mode})
    assert 0 < new < 1 and result["recall@10"] == pytest.approx(new)
    assert highest_recall(parts.test_data, 10) == pytest.approx(new)
    for user, (history, (target,)) in held_out.items():
        own = [item for item in lists.get(user, []) if item is not None]
        assert not set(own) & set(history) and len(own) <= 6
    by_rule = results_by_rule(parts.trainer, parts.test_data)
    assert by_rule["removed"]["recall@10"] == pytest.approx(new)
    assert by_rule["recbole"]["recall@10"] == by_rule["kept"]["recall@10"] == 1


@pytest.mark.parametrize("model", ["SASRecAP", "SASRec", "BPR"])
def test_case_21_gauc_is_the_share_of_pairs_in_the_right_order(tmp_path, model):
    """A repeated target comes after all items that may be recommended, so that none of its pairs is right."""
    write_atomic(tmp_path, shopping())
    shown, gauc, _ = evaluated(model, tmp_path, metrics=["Recall", "GAUC"], topk=[10], valid_metric="GAUC")
    names = shown.dataset.field2id_token
    held_out, shares = histories_and_targets(shopping()), []
    for batch in shown.test_data:
        scores = shown.model.full_sort_predict(batch[0]).view(len(batch[0]), -1).tolist()
        for user, own in zip(batch[0]["user_id"].tolist(), scores):
            history, (target,) = held_out[names["user_id"][user]]
            own = dict(zip(names["item_id"].tolist(), own))
            others = [own[f"i{item}"] for item in range(ITEMS) if f"i{item}" not in [*history, target]]
            if others:
                share = sum((own[target] > one) + 0.5 * (own[target] == one) for one in others) / len(others)
                shares.append(0 if target in history else share)
    assert gauc["gauc"] == pytest.approx(sum(shares) / len(shares), abs=1e-5) and len(shares) > 50


def few_items_left(most=12):
    """A catalogue of 12 items and users with 9 to ``most`` of them."""
    draw = random.Random(2)
    rows = []
    for user in range(40):
        own = draw.sample(range(12), 9 + user % (most - 8))
        rows += [(f"u{user}", f"i{item}", time) for time, item in enumerate(own)]
    return rows


@pytest.mark.parametrize("metrics", [["Recall"], ["Recall", "GAUC"]])
@pytest.mark.parametrize("model", ["SASRecAP", "SASRec", "BPR", "Pop", "NeuMF"])
def test_case_29_lists_hold_what_can_be_recommended_and_nothing_else(tmp_path, model, metrics):
    rows = few_items_left(12 if model in SMALL else 11)  # RecBole's samplers refuse users of all items
    write_atomic(tmp_path, rows)
    given = {"metrics": metrics, "topk": [5], "valid_metric": "Recall@5"}
    _, result, lists = evaluated(model, tmp_path, **given)
    held_out = histories_and_targets(rows)
    assert sorted(lists) == sorted(held_out)
    for user, (history, _) in held_out.items():
        left = {f"i{item}" for item in range(12)} - set(history)
        count = min(5, len(left))
        assert len(set(lists[user][:count])) == count and set(lists[user][:count]) <= left
        assert lists[user][count:] == [None] * (5 - count)
    assert result["recall@5"] == 1  # at most four items are left, and the target is one of them


def test_case_29_recommended_lists_end_where_evaluated_ones_do(tmp_path):
    write_atomic(tmp_path, few_items_left())
    given = settings(tmp_path, "SASRecAP", topk=[5])
    recommender = load(run_recbole_sigma("SASRecAP", "d", config_dict=given)["checkpoint"])
    every = [f"i{item}" for item in range(12)]
    for found, count in zip(recommender.recommend([every, every[:11], every[:9]], k=5), (0, 1, 3)):
        assert len(found.items) == len(found.scores) == count and set(found.items) <= set(every[12 - count :])


def split_in_advance(folder):
    """Three files of rows with lists, and their walks by user; half of the users walk back for the test."""
    draw = random.Random(4)
    (folder / "d").mkdir()
    walks = {f"u{user}": draw.sample([f"i{item}" for item in range(17)], 7) for user in range(20)}
    for user in range(0, 20, 2):
        walks[f"u{user}"][6] = walks[f"u{user}"][2]
    for part, ends in [("train", [3]), ("valid", [5]), ("test", [6])]:
        lines = ["user_id:token\titem_id_list:token_seq\titem_id:token"]
        lines += [f"{user}\t{' '.join(walk[:end])}\t{walk[end]}" for user, walk in walks.items() for end in ends]
        (folder / "d" / f"d.{part}.inter").write_text("\n".join(lines) + "\n")
    given = {
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id_list", "item_id"]},
        "alias_of_item_id": ["item_id_list"],
    }
    return walks, given


def test_case_21_rows_split_in_advance(tmp_path):
    """Of the lists of the files nothing else is known: a target that its own list has is a miss."""
    walks, given = split_in_advance(tmp_path)
    parts, result, lists = evaluated("SASRecAP", tmp_path, topk=[12], valid_metric="Recall@12", **given)
    assert result["recall@12"] == 0.5  # the items that are left are all listed
    assert repeats(parts.test_data) == (20, 10)
    for user, walk in walks.items():
        assert set(lists[user]) - {None} == {f"i{item}" for item in range(17)} - set(walk[:6])


def test_case_21_sampled_candidates_of_rows_split_in_advance(tmp_path):
    """No item of a list is a candidate, also if it is the target of no row."""
    walks, given = split_in_advance(tmp_path)
    _, result, lists = evaluated("SASRecAP", tmp_path, eval_args={"mode": "uni30"}, **given)
    assert result["recall@10"] <= 0.5
    for user, walk in walks.items():
        assert not set(lists[user]) & set(walk[:6])
