"""Evaluations of the plugin's trainer against RecBole's trainer, evaluator and collector, to the last digit."""

import itertools
import sys

import pytest
import torch
from recbole.evaluator.register import metric_information, metrics_dict
from recbole.utils import get_trainer, init_seed

from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders
from recbole_sigma.evaluation import collector, full_sort
from recbole_sigma.training.trainer import trainer_class
from tests.data.test_dataset import random_rows

SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10}
BY_MODEL = {"SIGMA": SMALL, "SASRec": SMALL}
TOP_METRICS = [
    name
    for name, needs in metric_information.items()
    if {"rec.items", "rec.topk"} & set(needs) and metrics_dict[name].__module__.startswith("recbole.")
]
SPLITS = {"one": {"LS": "valid_and_test"}, "several": {"RS": [0.6, 0.2, 0.2]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 users and 400 items; users have seen most of their items several times."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "toy").mkdir()
    rows = random_rows(users=60, items=400, longest=60)
    lines = ["user_id:token\titem_id:token\ttimestamp:float", *("\t".join(map(str, row)) for row in rows)]
    (folder / "toy" / "toy.inter").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def evaluations(folder, tmp_path, monkeypatch):
    """Results of the plugin's trainer and of RecBole's own, for the same model on the same rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["program"])

    def evaluations(model, on_scores=None, rule=None, predict=None, **settings):
        given = {"metrics": TOP_METRICS, "topk": [1, 3, 10], "valid_metric": "Recall@10", "metric_decimal_place": 12}
        given.update(BY_MODEL.get(model, {}), data_path=str(folder), eval_batch_size=7, show_progress=False, **settings)
        config = Config(model, "toy", config_dict=given)
        train, _, test = create_loaders(config, create_dataset(config))
        test.rule = rule or test.rule
        init_seed(0, True)
        network = config.model_class(config, train.dataset)
        network.calculate_loss(next(iter(train)))  # Pop counts here
        if on_scores is not None:
            full_sort_predict = network.full_sort_predict
            network.full_sort_predict = lambda given: on_scores(len(given)) or full_sort_predict(given)
        if predict is not None:
            network.predict = predict
        results = []
        for kind in (trainer_class(config), get_trainer(config["MODEL_TYPE"], config["model"])):
            trainer = kind(config, network)
            trainer.eval_collector.data_collect(train)
            init_seed(0, True)
            results.append(trainer.evaluate(test, load_best_model=False))
        return results

    return evaluations


def count_ranked_batches(monkeypatch):
    counted = []

    def count(items, *positives):
        counted.append(len(items))
        return collector_of_hits(items, *positives)

    collector_of_hits = collector.hits_and_positives
    monkeypatch.setattr(collector, "hits_and_positives", count)
    return counted


def test_all_metrics_of_top_items_are_compared():
    assert {"recall", "mrr", "ndcg", "hit", "map", "precision", "itemcoverage", "averagepopularity"} < set(TOP_METRICS)
    assert {"shannonentropy", "giniindex", "tailpercentage"} < set(TOP_METRICS)
    assert not {"gauc", "auc", "logloss", "mae", "rmse"} & set(TOP_METRICS)


@pytest.mark.parametrize(
    "model, split, remove_seen",
    [
        *[(model, "one", True) for model in ("SIGMA", "BPR", "ItemKNN")],
        *[(model, "several", False) for model in ("SIGMA", "BPR", "ItemKNN")],
        *[(model, "one", False) for model in ("SASRec", "Pop")],
        *[(model, "several", True) for model in ("SASRec", "Pop")],
    ],
)
def test_metrics_of_top_items_are_those_of_recbole(evaluations, monkeypatch, model, split, remove_seen):
    """Scores of Pop and ItemKNN are equal for many items."""
    counted = count_ranked_batches(monkeypatch)
    eval_args = {"split": SPLITS[split]}
    ours, stock = evaluations(model, eval_args=eval_args, remove_seen=remove_seen)
    assert ours == stock and len(ours) > len(TOP_METRICS)
    assert sum(counted) >= 60 and max(counted) == 7


def test_several_interests_are_ranked_alike(evaluations):
    ours, stock = evaluations("SIGMA", scorer="interests", interest_temperature=0.5)
    assert ours == stock


@pytest.mark.parametrize("model", ["SIGMA", "SASRec", "BPR"])
def test_a_list_of_the_whole_catalog_ends_as_recboles(evaluations, model):
    """By RecBole's rule: only items that are left out are open in their order, and none of them is a positive one."""
    metrics = ["Recall", "MRR", "NDCG", "Hit", "MAP", "Precision"]
    ours, stock = evaluations(model, rule="recbole", metrics=metrics, topk=[1, 390], valid_metric="Recall@1")
    assert ours == stock


@pytest.mark.parametrize("model", ["SASRec", "BPR", "Pop"])
def test_few_rows_at_a_time_give_the_same(evaluations, monkeypatch, model):
    """400 items and the padding: two rows have less than 1000 scores."""
    rows = []
    monkeypatch.setattr(full_sort, "SCORES_AT_ONCE", 1000)
    ours, stock = evaluations(model, on_scores=rows.append)
    assert ours == stock
    batches = list(itertools.takewhile(lambda number: number <= 2, rows))  # of our trainer, before RecBole's of 7 rows
    assert set(batches) == {1, 2} and sum(batches) == 60


@pytest.mark.parametrize(
    "model, metrics", [("SIGMA", ["Recall", "GAUC"]), ("SASRec", ["GAUC"]), ("BPR", ["Recall", "GAUC"])]
)
def test_metrics_of_all_scores_are_those_of_recbole(evaluations, model, metrics):
    """By RecBole's rule: where repeated targets are removed, its mean rank is not defined."""
    ours, stock = evaluations(model, rule="recbole", metrics=metrics, valid_metric="GAUC")
    assert ours == stock and "gauc" in ours


@pytest.mark.parametrize("model", ["SIGMA", "BPR"])
def test_sampled_candidates_give_what_they_give_in_recbole(evaluations, model):
    ours, stock = evaluations(model, rule="recbole", eval_args={"mode": "uni20"})
    assert ours == stock


def test_a_model_that_predicts_pairs_only_is_ranked_pair_by_pair(evaluations, monkeypatch):
    """The scores are far apart: those of the untrained model differ by less than products of other shapes round."""

    def predict(pairs):
        return (pairs["user_id"] * 389 + pairs["item_id"] * 577) % 1009 / 1009

    counted = count_ranked_batches(monkeypatch)
    ours, stock = evaluations("NeuMF", predict=predict)
    assert ours == stock
    assert counted


def test_metrics_that_list_items_only_need_no_hits(evaluations):
    ours, stock = evaluations("SASRec", metrics=["ItemCoverage", "GiniIndex"], valid_metric="ItemCoverage@10")
    assert ours == stock


def test_a_second_evaluation_does_not_remember_the_first(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config("SIGMA", "toy", config_dict={"data_path": str(folder), **SMALL})
    train, valid, test = create_loaders(config, create_dataset(config))
    trainer = trainer_class(config)(config, config.model_class(config, train.dataset))
    alone = trainer.evaluate(test, load_best_model=False)
    trainer.evaluate(valid, load_best_model=False)
    assert trainer.evaluate(test, load_best_model=False) == alone


@pytest.mark.parametrize("model", ["SIGMA", "SASRec"])
def test_an_evaluation_under_autocast_runs_in_float32(folder, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    config = Config(model, "toy", config_dict={"data_path": str(folder), **SMALL})
    train, _, test = create_loaders(config, create_dataset(config))
    trainer = trainer_class(config)(config, config.model_class(config, train.dataset))
    products = next(module for module in trainer.model.modules() if isinstance(module, torch.nn.Linear))
    dtypes = set()
    products.register_forward_hook(lambda module, given, output: dtypes.add(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trainer.evaluate(test, load_best_model=False)
    assert dtypes == {torch.float32}


def test_hits_and_positives_are_those_of_a_dense_matrix():
    torch.manual_seed(0)
    for _ in range(20):
        num_rows, num_items, k = (int(torch.randint(1, most, ())) for most in (9, 30, 9))
        k = min(k, num_items)
        items = 1 + torch.rand(num_rows, num_items).argsort(1)[:, :k]
        positives = torch.randint(num_rows, (40,)), torch.randint(1, num_items + 1, (40,))
        dense = torch.zeros(num_rows, num_items + 1, dtype=torch.int64)
        dense[positives] = 1
        expected = torch.cat([dense.gather(1, items), dense.sum(1, keepdim=True)], 1)
        assert torch.equal(collector.hits_and_positives(items, *positives), expected)
