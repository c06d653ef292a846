"""Every stock general and sequential model of RecBole trains and evaluates for one epoch with the repairs of compat."""

import importlib
import math
import pkgutil
import random
from collections import Counter
from pathlib import Path

import pytest
import recbole
import recbole.model.general_recommender as general
import recbole.model.sequential_recommender as sequential
from recbole.model.general_recommender import BPR

from recbole_sigma import run_recbole_sigma
from recbole_sigma.training import checkpoint
from recbole_sigma.errors import ConfigError
from recbole_sigma.training.finite import FiniteCheck
from recbole_sigma.training.trainer import ResumableTrainer
from tests.training.interrupted import differences, leaves

DATASET = "cut"
METRICS = ["Recall", "MRR", "NDCG", "Hit", "Precision", "MAP", "ItemCoverage", "AveragePopularity", "GiniIndex"]
UNBOUNDED = ("averagepopularity",)


def train_one_epoch(model, data_path, **settings):
    """Train stock ``model`` for an epoch on the cut of ml-100k, in the plugin's pipeline."""
    defaults = {
        "data_path": str(data_path),
        "epochs": 1,
        "train_batch_size": 512,
        "metrics": METRICS,
        "topk": [10],
        "valid_metric": "MRR@10",
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
        "state": "ERROR",
    }
    if model in SEQUENTIAL:
        defaults["MAX_ITEM_LIST_LENGTH"] = 10
    return run_recbole_sigma(model, DATASET, config_dict={**defaults, **settings})


# What a model needs beyond the defaults of train_one_epoch.
ITEM_FEATURES = {
    "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]},
    "selected_features": ["class"],
}
KNOWLEDGE = {
    "load_col": {
        "inter": ["user_id", "item_id", "timestamp"],
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
        "ent_feature": ["ent_id", "ent_vec"],
        "rel_feature": ["rel_id", "rel_vec"],
    },
    "additional_feat_suffix": ["ent_feature", "rel_feature"],
    "alias_of_entity_id": ["ent_id"],
    "alias_of_relation_id": ["rel_id"],
    "preload_weight": {"ent_id": "ent_vec", "rel_id": "rel_vec"},
    "embedding_size": 64,
}
SETTINGS = {
    "FDSA": ITEM_FEATURES,
    "GRU4RecCPR": {"reranker_CAN_NUM": "20"},  # 100 of the 80 items by default
    "GRU4RecF": ITEM_FEATURES,
    "GRU4RecKG": KNOWLEDGE,
    "KSR": {**KNOWLEDGE, "kg_embedding_size": 64},
    "NCL": {"num_clusters": 10, "warm_up_step": 0},
    "RaCT": {"metrics_k": 20},  # 100 of the 80 items by default
    "S3Rec": {"load_col": ITEM_FEATURES["load_col"], "item_attribute": "class"},
    "SASRecCPR": {"reranker_CAN_NUM": "20"},
    "SASRecF": ITEM_FEATURES,
}
KNOWLEDGE_AWARE = {
    model: {"load_col": {suffix: KNOWLEDGE["load_col"][suffix] for suffix in ("inter", "kg", "link")}}
    for model in ("CFKG", "MKR")
}
# Models that learn from the files of an earlier stage: the settings of each stage, in order.
STAGES = {
    "S3Rec": [{"train_stage": "pretrain", "pretrain_epochs": 1, "save_step": 1}, {"train_stage": "finetune"}],
    "RaCT": [
        {"train_stage": "actor_pretrain", "pretrain_epochs": 1, "save_step": 1},
        {"train_stage": "critic_pretrain", "pretrain_epochs": 1, "save_step": 1},
        {"train_stage": "finetune"},
    ],
}
FAST = ["Pop", "BPR", "LightGCN", "EASE", "MultiVAE", "SASRec", "GRU4Rec", "BERT4Rec"]


def models_of(package):
    """One model per file of the package, so that none is forgotten."""
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        (model,) = (name for name in classes if name.lower() == info.name)
        yield model


SEQUENTIAL = list(models_of(sequential))
MODELS = list(models_of(general)) + SEQUENTIAL


@pytest.fixture(scope="session")
def data_path(tmp_path_factory):
    """The folder with the cut: 100 users of ml-100k, their 12 last ratings of the 80 most rated items."""
    source = Path(recbole.__file__).parent / "dataset_example" / "ml-100k"
    rows = {suffix: _read(source / f"ml-100k.{suffix}") for suffix in ("inter", "item", "link", "kg")}
    head, *inter = rows["inter"]
    frequent = {item for item, _ in Counter(row[1] for row in inter).most_common(80)}
    by_user = {}
    for row in sorted((row for row in inter if row[1] in frequent), key=lambda row: float(row[3])):
        by_user.setdefault(row[0], []).append(row)
    users = [ratings[-12:] for ratings in by_user.values() if len(ratings) >= 6][:100]
    items = {row[1] for ratings in users for row in ratings}
    link = [row for row in rows["link"][1:] if row[0] in items]
    entities = {entity for _, entity in link}
    kg = [row for row in rows["kg"][1:] if row[0] in entities][:300]

    folder = tmp_path_factory.mktemp("data") / DATASET
    folder.mkdir()
    random_numbers = random.Random(0)

    def vectors(names):
        return [[name, " ".join(f"{random_numbers.gauss(0, 0.1):.4f}" for _ in range(64))] for name in sorted(names)]

    for suffix, lines in {
        "inter": [head] + sorted((row for ratings in users for row in ratings), key=inter.index),
        "item": [rows["item"][0]] + [row for row in rows["item"][1:] if row[0] in items],
        "link": [rows["link"][0]] + link,
        "kg": [rows["kg"][0]] + kg,
        "ent_feature": [["ent_id:token", "ent_vec:float_seq"]] + vectors(entities | {row[2] for row in kg}),
        "rel_feature": [["rel_id:token", "rel_vec:float_seq"]] + vectors({row[1] for row in kg}),
    }.items():
        (folder / f"{DATASET}.{suffix}").write_text("".join("\t".join(row) + "\n" for row in lines), encoding="utf-8")
    return folder.parent


def _read(path):
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def check(model, data_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = None
    for stage in STAGES.get(model, [{}]):
        settings = {**SETTINGS.get(model, {}), **stage}
        if result is not None:
            settings["pre_model_path"] = result["checkpoint"]
        result = train_one_epoch(model, data_path, **settings)
        assert result["epochs"] == 1
        assert len(result["test_result"]) == len(METRICS)
        for name, value in result["test_result"].items():
            assert math.isfinite(value) and value >= 0, name
            assert value <= 1 or name.startswith(UNBOUNDED), name


class Killed(BaseException):
    """In the place of a signal."""


VALIDATION = (ResumableTrainer, "_valid_epoch")
END_OF_EPOCH = (FiniteCheck, "check_parameters")
"""Methods that a training is interrupted at."""


def train_interrupted(model, data_path, monkeypatch, stops, **settings):
    """Train to the end, with an interruption at each method and epoch in ``stops`` and a resumption after it.

    Returns:
        The last checkpoint and the state after the training, value by value.
    """
    final = {}

    def keeping(self, *args, **kwargs):
        result = super(ResumableTrainer, self).fit(*args, **kwargs)
        if self.saver is not None:
            final.update(self.saver.state.take(), order=self.saver.state.order())
        return result

    def stopping(original, epoch):
        def stop(self, *args, **kwargs):
            if self.epoch == epoch:
                raise Killed
            return original(self, *args, **kwargs)

        return stop

    for (owner, name), epoch in stops:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(owner, name, stopping(getattr(owner, name), epoch))
            train_one_epoch(model, data_path, resume=True, **settings)
    with monkeypatch.context() as patch:
        patch.setattr(ResumableTrainer, "fit", keeping)
        result = train_one_epoch(model, data_path, resume=bool(stops), **settings)
    saved = checkpoint.load(result["checkpoint"])
    for name in ("run_id", "resume"):
        del saved["config"][name]
    everything = leaves({"checkpoint": saved, "final": final, "result": result["test_result"]})
    return {key: value for key, value in everything if not key.endswith("/seconds")}


def check_resumed(model, data_path, tmp_path, monkeypatch):
    """Interrupted in its first epoch, in validation, and before a later epoch ends, it ends as it would have."""
    monkeypatch.chdir(tmp_path)
    settings = {**SETTINGS.get(model, {}), **KNOWLEDGE_AWARE.get(model, {}), "epochs": 3}
    stages = STAGES.get(model, [{}])
    for stage in stages[:-1]:
        settings["pre_model_path"] = train_one_epoch(model, data_path, **settings, **stage)["checkpoint"]
    settings.update(stages[-1])
    expected = train_interrupted(model, data_path, monkeypatch, [], **settings)
    stops = [(END_OF_EPOCH, 0)]
    if "/final/bookkeeping/cur_step" in expected:  # not a single pass over the data
        stops += [(VALIDATION, 1), (END_OF_EPOCH, 2)]
    assert not differences(expected, train_interrupted(model, data_path, monkeypatch, stops, **settings))


@pytest.mark.parametrize("model", FAST)
def test_representative_stock_model_is_resumed(model, data_path, tmp_path, monkeypatch):
    check_resumed(model, data_path, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in [*MODELS, *KNOWLEDGE_AWARE] if model not in FAST])
def test_every_other_stock_model_is_resumed(model, data_path, tmp_path, monkeypatch):
    check_resumed(model, data_path, tmp_path, monkeypatch)


def test_a_model_whose_trainer_may_keep_more_is_not_resumed(data_path, tmp_path, monkeypatch):
    class KGAT(BPR):
        """The name decides on the trainer."""

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="resume is not for KGAT: its trainer in RecBole may need more"):
        train_one_epoch(KGAT, data_path, resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("model", STAGES)
def test_pretraining_is_resumed(model, data_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {**SETTINGS[model], **STAGES[model][0], "pretrain_epochs": 3}
    expected = train_interrupted(model, data_path, monkeypatch, [], **settings)
    stops = [(END_OF_EPOCH, 0), (END_OF_EPOCH, 2)]
    assert not differences(expected, train_interrupted(model, data_path, monkeypatch, stops, **settings))


@pytest.mark.parametrize("model", FAST)
def test_representative_stock_model(model, data_path, tmp_path, monkeypatch):
    check(model, data_path, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in MODELS if model not in FAST])
def test_every_other_stock_model(model, data_path, tmp_path, monkeypatch):
    check(model, data_path, tmp_path, monkeypatch)
