"""A Recommender ranks as evaluation does, for every sequential model, from its checkpoint alone."""

import os
import statistics
from glob import glob
from itertools import combinations

import pytest
import torch

from recbole_sigma import Config, load
from recbole_sigma.training import checkpoint
from recbole_sigma.data.loaders import FullSortLoader
from recbole_sigma.errors import CheckpointError
from recbole_sigma.evaluation import full_sort, rank_catalog
from recbole_sigma.quick_start import build_run
from tests.test_stock_models import DATASET, SEQUENTIAL, SETTINGS, STAGES, data_path, train_one_epoch  # noqa: F401

OWN = {
    "SIGMA": {},
    "SIGMA of interests": {"scorer": "interests"},
    "SIGMA with context": {"decoder_context": "interests", "position": "rotary"},
    "SASRecAP": {"position": "absolute", "normalize_items": True},
}
FAST = ["GRU4Rec", "FPMC", "DIN", "SASRecF"]


def evaluated(model, settings, checkpoint, monkeypatch):
    """Users, whole histories and targets of the test, and what evaluation ranks for them, in tokens."""
    parts = build_run(Config(model, DATASET, config_dict=settings))
    ranked = []

    def recording(*arguments):
        ranked.append(rank_catalog(*arguments))
        return ranked[-1]

    monkeypatch.setattr(full_sort, "rank_catalog", recording)
    parts.trainer.load_model(checkpoint)
    parts.trainer.evaluate(parts.test_data, load_best_model=False)
    assert isinstance(parts.test_data, FullSortLoader)
    rows = parts.test_data._dataset
    users = rows.field2id_token["user_id"][rows.inter_feat["user_id"]]
    items = rows.interactions["item_id"].numpy()
    tokens, histories, targets = rows.field2id_token["item_id"], [], []
    index = rows.inter_feat["target:index"]
    for start, target in zip(rows.seen_before(index)[0].tolist(), index.tolist()):
        histories.append(tokens[items[start:target]].tolist())
        targets.append(tokens[items[target]])
    scores, found = (torch.cat(part).numpy() for part in zip(*ranked))
    return users, histories, targets, scores, tokens[found]


def check(model, data_path, monkeypatch, **settings):  # noqa: F811
    settings = {
        "topk": [10],
        "valid_metric": "MRR@10",
        "metrics": ["MRR"],
        "MAX_ITEM_LIST_LENGTH": 10,
        **SETTINGS.get(model, {}),
        **settings,
    }
    result = None
    for stage in STAGES.get(model, [{}]):
        path = {} if result is None else {"pre_model_path": result["checkpoint"]}
        result = train_one_epoch(model, data_path, **{**settings, **stage, **path})
    settings = {
        "data_path": str(data_path),
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
        "state": "ERROR",
        **settings,
        **stage,
        **path,
    }
    users, histories, targets, scores, tokens = evaluated(model, settings, result["checkpoint"], monkeypatch)
    monkeypatch.setattr("recbole_sigma.data.dataset.create_dataset", None)  # no data set is read
    for file in {os.path.realpath(file) for file in glob("saved/*.pth")} - {os.path.realpath(result["checkpoint"])}:
        os.unlink(file)  # of earlier stages
    recommender = load(result["checkpoint"])
    check_reasons(recommender, users[0], histories[0])
    found = recommender.recommend(histories, 10, users=users)
    assert len(found) == len(users) > 90
    for own, history, target, row_scores, row_tokens in zip(found, histories, targets, scores, tokens):
        if target in history:
            continue  # evaluation ranks it nevertheless
        assert own.scores == row_scores.tolist()
        assert own.items == row_tokens.tolist()
        assert not set(own.items) & set(history)


def check_reasons(recommender, user, history):
    """They are those of scores after each shortened history alone, asked for one by one."""
    explanation = recommender.explain(history, 3, user=user)
    num_items = len(recommender.catalog)

    def log_probabilities(shortened):
        """Of the items that are not in the whole history, by token."""
        (one,) = recommender.recommend([shortened], num_items, users=[user], keep_seen=True)
        scores = {item: score for item, score in zip(one.items, one.scores) if item not in history}
        normalizer = torch.tensor([*scores.values()], dtype=torch.float64).logsumexp(0).item()
        return {item: score - normalizer for item, score in scores.items()}

    whole = log_probabilities(history)
    without = {own: log_probabilities([item for item in history if item != own]) for own in set(history[-10:])}
    assert len(explanation.because) == len(explanation.recommendation.items) == 3
    for item, reasons in zip(explanation.recommendation.items, explanation.because):
        falls = {own: whole[item] - scores[item] for own, scores in without.items()}
        bound = 2 * statistics.median(map(abs, falls.values()))
        largest = sorted(falls, key=falls.get, reverse=True)[:3]
        doubtful = [abs(fall - bound) < 1e-4 for fall in falls.values()]
        close = [abs(falls[one] - falls[other]) < 1e-4 for one, other in combinations(falls, 2) if falls[one] > bound]
        if not any(doubtful) and not any(close):  # else rounding may decide
            assert reasons == [own for own in largest if falls[own] > max(bound, 1e-5)]


@pytest.mark.parametrize("model", [*OWN, *FAST])
def test_scores_and_items_are_those_of_evaluation_to_the_bit(model, data_path, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    check(model.split(" ")[0], data_path, monkeypatch, **OWN.get(model, {}))


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(set(SEQUENTIAL) - set(FAST)))
def test_every_other_sequential_model_too(model, data_path, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    check(model, data_path, monkeypatch)


def test_no_other_file_is_read_let_alone_run(data_path, tmp_path, monkeypatch):  # noqa: F811
    """S3Rec reads the file of an earlier stage, as a pickle, when it is built for the later one."""
    monkeypatch.chdir(tmp_path)

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    torch.save({"state_dict": Payload()}, "evil.pth")
    settings = {**SETTINGS["S3Rec"], "train_stage": "pretrain", "pretrain_epochs": 1, "save_step": 1}
    result = train_one_epoch("S3Rec", data_path, metrics=["MRR"], **settings)
    state = checkpoint.load(result["checkpoint"])
    state["config"].update(train_stage="finetune", pre_model_path="evil.pth")
    checkpoint.save(state, "looks-harmless.pth")
    load("looks-harmless.pth").recommend([[]])
    assert not (tmp_path / "run").exists()


def test_a_model_without_histories_is_refused(data_path, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    result = train_one_epoch("BPR", data_path, metrics=["MRR"])
    with pytest.raises(CheckpointError, match="is of BPR, which recommends to known users .* expected a sequential"):
        load(result["checkpoint"])
