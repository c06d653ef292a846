"""The pipeline: results, seeds, switches between the plugin's and RecBole's data flow, and learning."""

import json
import subprocess
import sys

import numpy as np
import pytest
import recbole.config
import torch
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_trainer, init_seed

from recbole_sigma import run_recbole_sigma
from recbole_sigma.errors import TrainingError
from recbole_sigma.model import MODELS, SIGMA

SMALL = {"hidden_size": 16, "inner_size": 16, "MAX_ITEM_LIST_LENGTH": 10, "learning_rate": 0.01}


@pytest.fixture
def settings(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {"data_path": str(toy_path), "epochs": 2, **SMALL}


def test_the_result_has_recboles_entries_and_those_of_a_report(settings):
    result = run_recbole_sigma("SIGMA", "toy", config_dict=settings)
    assert {"best_valid_score", "valid_score_bigger", "best_valid_result", "test_result"} <= result.keys()
    assert result["best_valid_score"] == result["best_valid_result"]["recall@20"]
    assert result["epochs"] == 2 and result["seconds_per_epoch"] > 0 and result["seed"] == 2020
    assert set(result["test_result"]) == {"recall@20", "recall@40", "ndcg@20", "ndcg@40"}
    json.dumps(result)


def test_a_model_class_may_be_given_for_its_name(settings):
    assert run_recbole_sigma(SIGMA, "toy", config_dict=settings)["model"] == "SIGMA"


@pytest.mark.parametrize("model", ["SIGMA", "BPR"])
def test_a_checkpoint_is_validated_and_tested_as_at_the_end_of_its_training(settings, model):
    given = settings if model == "SIGMA" else settings_of_bpr(settings)
    first = run_recbole_sigma(model, "toy", config_dict=given)
    again = run_recbole_sigma(model, "toy", config_dict={**given, "checkpoint": first["checkpoint"]})
    for key in ("best_valid_score", "best_valid_result", "test_result", "parameters"):
        assert again[key] == first[key], key
    assert again["epochs"] == 0


def test_without_saving_no_checkpoint_is_left(settings, tmp_path):
    result = run_recbole_sigma("SIGMA", "toy", config_dict=settings, saved=False)
    assert result["checkpoint"] is None and result["test_result"]
    assert not list((tmp_path / "saved").glob("*"))


def test_two_runs_never_share_a_checkpoint_or_a_log(settings):
    first, second = (run_recbole_sigma("BPR", "toy", config_dict={**settings_of_bpr(settings)}) for _ in range(2))
    assert first["checkpoint"] != second["checkpoint"]
    assert first["log"] != second["log"]


def settings_of_bpr(settings):
    return {key: settings[key] for key in ("data_path", "epochs")}


def parameters(result):
    return torch.load(result["checkpoint"], weights_only=True)["state_dict"]


def test_a_seed_fixes_the_result_to_the_bit_even_in_another_process(settings):
    first = run_recbole_sigma("SIGMA", "toy", config_dict=settings)
    program = (
        "import json, sys, recbole_sigma\n"
        "print(json.dumps(recbole_sigma.run_recbole_sigma('SIGMA', 'toy', config_dict=json.loads(sys.argv[1]))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(settings)], capture_output=True, text=True, check=True
    )
    second = json.loads(done.stdout)
    assert first["test_result"] == second["test_result"]
    for name, value in parameters(first).items():
        assert torch.equal(value, parameters(second)[name]), name
    other = run_recbole_sigma("SIGMA", "toy", config_dict={**settings, "seed": 1})
    assert any(not torch.equal(value, parameters(other)[name]) for name, value in parameters(first).items())


INTERESTS = {"scorer": "interests", "epochs": 100, "learning_rate": 0.04, "train_batch_size": 16}


@pytest.mark.parametrize("switches, runs", [({}, 1), (INTERESTS, 3), ({"prior": "standard"}, 1)])
def test_it_learns_what_popularity_cannot(settings, switches, runs):
    """Each item leads to one of two others; five places leave room for one of them in each of the four interests.

    Six seeds of the interests alone gave a mean of 0.73 and a standard deviation of 0.06, too much for a single run.
    """
    learning = {
        **settings,
        "epochs": 30,
        "eval_step": 5,
        "stopping_step": 100,
        "learning_rate": 0.02,
        "train_batch_size": 8,
        "topk": [5],
        "valid_metric": "Recall@5",
    }
    learning.update(
        item_dropout_prob=0.0, hidden_dropout_prob=0.1, attn_dropout_prob=0.1, remove_seen=False, **switches
    )
    recalls = [
        run_recbole_sigma("SIGMA", "toy", config_dict={**learning, "seed": seed})["test_result"]["recall@5"]
        for seed in range(2020, 2020 + runs)
    ]
    popular = run_recbole_sigma(
        "Pop", "toy", config_dict={key: learning[key] for key in ("data_path", "topk", "valid_metric", "remove_seen")}
    )
    assert popular["test_result"]["recall@5"] < 0.3
    assert sum(recalls) / runs > 0.6


@pytest.mark.parametrize("negatives", [None, "uniform"])
def test_a_model_works_in_recboles_own_data_flow(settings, toy_path, tmp_path, monkeypatch, negatives):
    monkeypatch.setattr(sys, "argv", ["program"])
    given = {**settings, "load_col": {"inter": ["user_id", "item_id", "timestamp"]}, "show_progress": False}
    if negatives is None:
        given["train_neg_sample_args"] = None
    config = recbole.config.Config(model=SIGMA, dataset="toy", config_dict=given)
    init_seed(config["seed"], True)
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    model = SIGMA(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    score, _ = trainer.fit(train, valid, verbose=False)
    result = trainer.evaluate(test)  # of the best model, which RecBole saved its own way
    assert np.isfinite(score) and all(0 <= value <= 1 for value in result.values())


@pytest.mark.parametrize("model", MODELS)
def test_predict_and_full_sort_rank_alike_in_an_evaluation(settings, model, monkeypatch):
    """RecBole predicts every pair one by one for a model that cannot score the catalog at once.

    GAUC is a metric of all scores, for which no model is ranked by its vectors.
    """
    settings["metrics"] = ["Recall", "NDCG", "GAUC"]
    full = run_recbole_sigma(model, "toy", config_dict=settings)

    def cannot(self, interaction):
        raise NotImplementedError

    monkeypatch.setattr(MODELS[model], "full_sort_predict", cannot)
    again = run_recbole_sigma(model, "toy", config_dict={"checkpoint": full["checkpoint"], **settings})
    assert again["test_result"] == full["test_result"] and again["epochs"] == 0


def test_the_log_of_a_run_that_failed_says_why(settings, tmp_path):
    settings["temperature"] = 1e-40  # scores are infinite
    with pytest.raises(TrainingError):
        run_recbole_sigma("SIGMA", "toy", config_dict=settings)
    (log,) = (tmp_path / "log" / "SIGMA").iterdir()
    assert "nan at epoch 0, step 0" in log.read_text()
