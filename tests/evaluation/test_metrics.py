"""Every metric of RecBole's, as the plugin repairs it, against its formula in plain Python."""

import random

import pytest
import torch

import recbole_sigma  # noqa: F401  repairs RecBole
from recbole.evaluator import Collector
from recbole.evaluator.collector import DataStruct
from recbole.evaluator.evaluator import Evaluator

from recbole_sigma.evaluation.collector import TopItemsCollector, hits_and_positives
from recbole_sigma.evaluation.ranking import RankedItems
from tests.evaluation import definitions

TOPK = [1, 3, 7]
OF_HITS = {
    "Hit": definitions.hit, "MRR": definitions.mrr, "Recall": definitions.recall, "NDCG": definitions.ndcg,
    "Precision": definitions.precision, "MAP": definitions.average_precision,
}  # fmt: skip
OF_COUNTS = ["ItemCoverage", "ShannonEntropy", "GiniIndex", "AveragePopularity", "TailPercentage"]


def evaluated(metrics, topk=TOPK, tail_ratio=None, **data):
    struct = DataStruct()
    for name, value in data.items():
        struct.set(name.replace("_", ".", 1), value)
    settings = {"metrics": metrics, "topk": topk, "metric_decimal_place": 12, "tail_ratio": tail_ratio}
    return Evaluator(settings).evaluate(struct)


def random_lists(seed, with_empty_places):
    """Lists of seven of a catalog, of which a third is never listed; empty places are last."""
    draw = random.Random(seed)
    num_items = draw.randint(12, 40)
    lists = [draw.sample(range(1, num_items * 2 // 3 + 1), 7) for _ in range(draw.randint(1, 12))]
    if with_empty_places:
        lists = [items[: draw.randint(0, 7)] for items in lists] + [[1, 2]]
        lists = [items + [0] * (7 - len(items)) for items in lists]
    return lists, num_items


@pytest.mark.parametrize("with_empty_places", [False, True])
@pytest.mark.parametrize("tail_ratio", [None, 0.1, 0.29, 0.5, 1.0, 1, 3, 100])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_counts_are_their_formulas(seed, tail_ratio, with_empty_places):
    lists, num_items = random_lists(seed, with_empty_places)
    draw = random.Random(seed)
    count = {item: draw.choice([0, 1, 1, 2, 3, 8]) for item in range(1, num_items + 1)}
    data = {"rec_items": torch.tensor(lists), "data_num_items": num_items, "data_count_items": count}
    found = evaluated(OF_COUNTS, tail_ratio=tail_ratio, **data)
    for k in TOPK:
        expected = {
            "itemcoverage": definitions.coverage(lists, k, num_items),
            "shannonentropy": definitions.entropy(lists, k, num_items),
            "giniindex": definitions.gini(lists, k, num_items),
            "averagepopularity": definitions.average_popularity(lists, k, count),
            "tailpercentage": definitions.tail_percentage(lists, k, count, num_items, tail_ratio or 0.1),
        }
        assert {name: found[f"{name}@{k}"] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_entropy_by_hand():
    """Two items half of the time each: one bit, whatever the number of items."""
    found = evaluated(["ShannonEntropy"], topk=[1], rec_items=torch.tensor([[1], [2], [1], [2]]))
    assert found["shannonentropy@1"] == pytest.approx(0.6931471805599453)


@pytest.mark.parametrize("with_empty_places", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_metrics_of_hits_are_their_formulas(seed, with_empty_places):
    lists, num_items = random_lists(seed, with_empty_places)
    draw = random.Random(seed)
    positives = [set(draw.sample(range(1, num_items + 1), draw.randint(1, 10))) for _ in lists]
    row, item = zip(*((row, item) for row, own in enumerate(positives) for item in own))
    topk = hits_and_positives(torch.tensor(lists), torch.tensor(row), torch.tensor(item))
    found = evaluated(list(OF_HITS), rec_topk=topk)
    for name, definition in OF_HITS.items():
        for k in TOPK:
            expected = sum(definition(items, own, k) for items, own in zip(lists, positives)) / len(lists)
            assert found[f"{name.lower()}@{k}"] == pytest.approx(expected, abs=1e-9), (name, k)


def test_an_empty_place_is_no_hit():
    topk = hits_and_positives(torch.tensor([[2, 0, 0]]), torch.tensor([0, 0]), torch.tensor([0, 1]))
    assert topk.tolist()[0][:3] == [0, 0, 0]


# From scores


def random_rows(seed):
    """Scores with ties; of some rows fewer candidates than seven, and positives that are no candidates."""
    draw = random.Random(seed)
    rows = []
    for _ in range(9):
        candidates = draw.sample(range(1, 20), draw.choice([2, 5, 19]))
        positives = set(draw.sample(range(1, 20), draw.randint(1, 3)))
        rows.append(({item: draw.randrange(6) / 2 for item in candidates}, positives))
    return rows


def collected(kind, rows, metrics, batch_size=4):
    config = {"metrics": metrics, "topk": TOPK, "eval_args": {"mode": {"test": "full"}}, "device": torch.device("cpu")}
    collector = kind(config)
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        scores = torch.full((len(part), 20), -torch.inf)
        for row, (own, _) in enumerate(part):
            for item, score in own.items():
                scores[row, item] = score
        before = scores.clone()
        row, item = zip(*((row, item) for row, (_, positives) in enumerate(part) for item in positives))
        collector.eval_batch_collect(scores, None, torch.tensor(row), torch.tensor(item))
        assert torch.equal(scores, before)
    return collector.get_data_struct()


@pytest.mark.parametrize("kind", [Collector, TopItemsCollector])
@pytest.mark.parametrize("seed", range(10))
def test_gauc_is_its_definition(kind, seed):
    rows = random_rows(seed)
    data = collected(kind, rows, ["GAUC"])
    found = evaluated(["GAUC"], rec_meanrank=data.get("rec.meanrank"))
    assert found["gauc"] == pytest.approx(definitions.grouped_auc(rows), abs=1e-6)


@pytest.mark.parametrize("kind", [Collector, TopItemsCollector])
@pytest.mark.parametrize("seed", range(10))
def test_places_without_a_candidate_are_empty(kind, seed):
    rows = random_rows(seed)
    data = collected(kind, rows, ["GAUC", "Recall", "ItemCoverage"])
    items, topk = data.get("rec.items").tolist(), data.get("rec.topk").int().tolist()
    assert len(items) == len(topk) == len(rows)
    for own_items, own_hits, (scores, positives) in zip(items, topk, rows):
        filled = min(7, len(scores))
        assert own_items[filled:] == [0] * (7 - filled)
        assert [scores[item] for item in own_items[:filled]] == sorted(scores.values(), reverse=True)[:filled]
        assert own_hits == [*(int(item in positives) for item in own_items), len(positives)]


def test_ranked_items_with_empty_places_give_no_hits():
    collector = TopItemsCollector(
        {"metrics": ["Recall", "ItemCoverage"], "topk": [3], "eval_args": {"mode": "full"}, "device": "cpu"}
    )
    collector.eval_batch_collect(RankedItems(torch.tensor([[4, 0, 0]])), None, torch.tensor([0]), torch.tensor([2]))
    data = collector.get_data_struct()
    assert data.get("rec.topk").tolist() == [[0, 0, 0, 1]] and data.get("rec.items").tolist() == [[4, 0, 0]]


# From labels


@pytest.mark.parametrize("seed", range(10))
def test_metrics_of_labels_are_their_formulas(seed):
    draw = random.Random(seed)
    predicted = [draw.choice([0.125, 0.25, 0.5, draw.uniform(0.01, 0.99)]) for _ in range(40)]
    label = [0, 1, *(draw.randrange(2) for _ in range(38))]
    metrics = ["AUC", "LogLoss", "MAE", "RMSE"]
    data = {"rec_score": torch.tensor(predicted, dtype=torch.float64), "data_label": torch.tensor(label).double()}
    found = evaluated(metrics, **data)
    errors = [p - y for p, y in zip(predicted, label)]
    positive, negative = ([p for p, y in zip(predicted, label) if y == kind] for kind in (1, 0))
    expected = {
        "auc": definitions.area_under_curve(positive, negative),
        "logloss": definitions.log_loss(predicted, label),
        "mae": sum(map(abs, errors)) / 40,
        "rmse": (sum(error**2 for error in errors) / 40) ** 0.5,
    }
    assert found == pytest.approx(expected, abs=1e-9)
