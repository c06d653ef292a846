"""Every stock general and sequential model of RecBole trains and evaluates for one epoch with the repairs of compat."""

import importlib
import math
import pkgutil
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from recbole_sigma import compat

compat.apply()

import recbole  # noqa: E402
import recbole.model.general_recommender as general  # noqa: E402
import recbole.model.sequential_recommender as sequential  # noqa: E402
from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.utils import get_model, get_trainer, init_seed  # noqa: E402

DATASET = "cut"
METRICS = ["Recall", "MRR", "NDCG", "Hit", "Precision", "MAP", "ItemCoverage", "AveragePopularity", "GiniIndex"]
UNBOUNDED = ("averagepopularity",)


def train_one_epoch(model, data_path, **settings):
    """Train stock ``model`` for an epoch on the cut of ml-100k; return its loss and the metrics on the test set."""
    defaults = dict(
        data_path=str(data_path), epochs=1, train_batch_size=512, eval_batch_size=4096, metrics=METRICS, topk=[10],
        valid_metric="MRR@10",
        load_col={"inter": ["user_id", "item_id", "rating", "timestamp"]}, MAX_ITEM_LIST_LENGTH=10,
        eval_args={"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"},
        use_gpu=False, gpu_id="", show_progress=False, state="ERROR",
    )  # fmt: skip
    config = Config(model=model, dataset=DATASET, config_dict={**defaults, **settings})
    init_seed(config["seed"], config["reproducibility"])
    train, valid, test = data_preparation(config, create_dataset(config))
    module = get_model(config["model"])(config, train._dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, module)
    trainer.fit(train, valid, saved=False, show_progress=False)
    losses = list(trainer.train_loss_dict.values())
    if "pretrain" in (config["train_stage"] or ""):
        return losses, None  # there is nothing to recommend with yet
    return losses, dict(trainer.evaluate(test, load_best_model=False))


# What a model needs beyond train_one_epoch's defaults, or to be quick.
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
    "kg_embedding_size": 64,
}
SETTINGS = {
    "FDSA": ITEM_FEATURES,
    "GRU4RecCPR": {"reranker_CAN_NUM": "20"},  # 100 of the 80 items by default
    "GRU4RecF": ITEM_FEATURES,
    "GRU4RecKG": KNOWLEDGE,
    "KSR": KNOWLEDGE,
    "NCL": {"num_clusters": 10, "warm_up_step": 0},
    "RaCT": {"metrics_k": 20},  # 100 of the 80 items by default
    "RepeatNet": {"train_neg_sample_args": None},
    "S3Rec": ITEM_FEATURES,
    "SASRecCPR": {"reranker_CAN_NUM": "20"},
    "SASRecF": ITEM_FEATURES,
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
WITHOUT_LOSS = {"Pop", "Random", "ItemKNN", "AsymKNN", "EASE", "SLIMElastic", "ADMMSLIM", "NCEPLRec"}
FAST = ["Pop", "BPR", "LightGCN", "EASE", "MultiVAE", "SASRec", "GRU4Rec", "BERT4Rec"]


def models_of(package):
    """One model per file of the package, so that none is forgotten."""
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        (model,) = (name for name, value in vars(module).items() if name.lower() == info.name and isinstance(value, type))
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


def settings_of(model):
    """The settings of each stage of training, one stage for most."""
    settings = dict(SETTINGS.get(model, {}))
    if model in SEQUENTIAL and not hasattr(get_model(model), "input_type"):
        settings["train_neg_sample_args"] = None  # cross entropy over all items
    return [{**settings, **stage} for stage in STAGES.get(model, [{}])]


def check(model, data_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # RecBole writes log/, log_tensorboard/ and saved/
    monkeypatch.setattr(sys, "argv", ["x"])  # its Config would read pytest's own arguments
    for stage, settings in enumerate(settings_of(model)):
        if stage:
            settings["pre_model_path"] = f"saved/{model}-{DATASET}-1.pth"
        losses, metrics = train_one_epoch(model, data_path, **settings)
        assert len(losses) == 1
        assert all(math.isfinite(loss) for loss in losses)
        assert model in WITHOUT_LOSS or losses[0] != 0
        if metrics is None:
            continue
        assert len(metrics) == len(METRICS)
        for name, value in metrics.items():
            assert math.isfinite(value) and value >= 0, name
            assert value <= 1 or name.startswith(UNBOUNDED), name


@pytest.mark.parametrize("model", FAST)
def test_representative_stock_model(model, data_path, tmp_path, monkeypatch):
    check(model, data_path, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in MODELS if model not in FAST])
def test_every_other_stock_model(model, data_path, tmp_path, monkeypatch):
    check(model, data_path, tmp_path, monkeypatch)
