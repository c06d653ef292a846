"""What each of RecBole's models needs beyond interactions: packages, files, columns, and values that fit the data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recbole.utils import InputType, ModelType

from recbole_sigma.errors import ConfigError, DataError, MissingExtraError
from recbole_sigma.rules import Rule, at_least, check_multiple, check_settings, one_of


@dataclass(frozen=True)
class Needs:
    """What one model needs.

    Attributes:
        package: import name of a package that RecBole does not install.
        package_if: the package is needed with these settings only.
        files: suffixes of atomic files beside ``.inter``.
        features: the setting that names the columns of items that the model reads.
        vectors: columns of ids of which ``preload_weight`` gives the column of vectors.
        pretrained: settings that hold the path of a pre-trained model.
        pretrained_if: the settings that make the model read these paths; in each, any of the values.
        rules: rules of settings that RecBole checks by ``assert``, or not at all.
        at_most: settings that must not exceed a number of the data: ``users``, ``items`` or both.
        at_most_if: as ``pretrained_if``.
        multiples: settings that must be a multiple of another one.
    """

    package: str | None = None
    package_if: Mapping[str, tuple] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    features: str | None = None
    vectors: tuple[str, ...] = ()
    pretrained: tuple[str, ...] = ()
    pretrained_if: Mapping[str, tuple] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    at_most: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    at_most_if: Mapping[str, tuple] = field(default_factory=dict)
    multiples: Mapping[str, str] = field(default_factory=dict)


_POOLING = {"pooling_mode": one_of("max", "mean", "sum")}
_NEIGHBOURS = {"knn_method": one_of("item", "user")}
_CANDIDATES = {"reranker_CAN_NUM": ("items",)}
_STAGES = ("actor_pretrain", "critic_pretrain", "finetune")

NEEDS = {
    "AsymKNN": Needs(rules=_NEIGHBOURS),
    "AutoInt": Needs(multiples={"attention_size": "num_heads"}),
    "ConvNCF": Needs(
        pretrained=("pre_model_path",),
        pretrained_if={"train_method": ("after_pretrain",)},
        rules={"train_method": one_of("after_pretrain", "no_pretrain")},
    ),
    "DGCF": Needs(multiples={"embedding_size": "n_factors"}),
    "FDSA": Needs(files=("item",), features="selected_features", rules=_POOLING),
    "FEARec": Needs(rules={"n_layers": at_least(2)}),
    "GRU4RecCPR": Needs(at_most=_CANDIDATES),
    "GRU4RecF": Needs(files=("item",), features="selected_features", rules=_POOLING),
    "GRU4RecKG": Needs(files=("kg", "link"), vectors=("ent_id",)),
    "ItemKNN": Needs(rules=_NEIGHBOURS),
    "KD_DAGFM": Needs(
        pretrained=("warm_up",),
        pretrained_if={"phase": ("distillation", "finetuning")},
        rules={"phase": one_of("teacher_training", "distillation", "finetuning")},
    ),
    "KGAT": Needs(package="dgl"),
    "KGIN": Needs(package="torch_scatter"),
    "KSR": Needs(files=("kg", "link"), vectors=("ent_id", "rel_id")),
    "LightGBM": Needs(package="lightgbm"),
    "MCCLK": Needs(package="torch_scatter"),
    "NAIS": Needs(pretrained=("pretrain_path",), rules={"algorithm": one_of("prod", "concat")}),
    "NCL": Needs(at_most={"num_clusters": ("users", "items")}, rules={"num_clusters": at_least(1)}),
    "NNCF": Needs(
        package="community",
        package_if={"neigh_info_method": ("louvain",)},
        rules={"neigh_info_method": one_of("random", "knn", "louvain")},
    ),
    "NeuMF": Needs(pretrained=("mf_pretrain_path", "mlp_pretrain_path"), pretrained_if={"use_pretrain": (True,)}),
    "RaCT": Needs(
        pretrained=("pre_model_path",),
        pretrained_if={"train_stage": _STAGES[1:]},
        rules={"train_stage": one_of(*_STAGES)},
        at_most={"metrics_k": ("items",)},
        at_most_if={"train_stage": _STAGES[1:]},
    ),
    "S3Rec": Needs(
        files=("item",),
        features="item_attribute",
        pretrained=("pre_model_path",),
        pretrained_if={"train_stage": ("finetune",)},
        rules={"train_stage": one_of("pretrain", "finetune")},
    ),
    "SASRecCPR": Needs(at_most=_CANDIDATES),
    "SASRecF": Needs(files=("item",), features="selected_features", rules=_POOLING),
    "XGBoost": Needs(package="xgboost"),
}
"""Needs of a model by its name; others need no more than their type."""

DISTRIBUTIONS = {"community": "python-louvain", "torch_scatter": "torch-scatter"}
"""Packages whose name for pip is not their import name."""

READ_LABELS = ("ConvNCF", "DIEN", "DIN", "DMF", "FISM", "MKR", "NAIS", "NNCF", "NeuMF", "RippleNet")
"""Models beside the context-aware ones that read labels in training."""

_NO_NEGATIVES = ("MacridVAE", "MultiDAE", "MultiVAE", "RaCT", "RecVAE")
"""Models that RecBole declares as pairwise, and that read no negative item."""


def needs_of(config) -> Needs:
    """The needs of the model of a configuration."""
    needs = NEEDS.get(config["model"], Needs())
    return replace(needs, files=("kg", "link")) if config["MODEL_TYPE"] == ModelType.KNOWLEDGE else needs


def check_before_reading(config) -> None:
    """Check what can be told before the data are read: packages, files, stages and settings.

    Raises:
        ConfigError: settings of the model that it cannot be trained with.
        DataError: a file that the model reads is missing.
        MissingExtraError: a package is missing.
    """
    needs = needs_of(config)
    _check_package(config, needs)
    check_settings(needs.rules, config)
    for key, of_key in needs.multiples.items():
        check_multiple(key, config[key], of_key, config[of_key])
    _check_pretrained(config, needs)
    _check_files(config, needs)
    if config["transform"] is not None and config["MODEL_TYPE"] != ModelType.SEQUENTIAL:
        raise ConfigError(
            f"transform is {config['transform']!r}; expected nothing (~) for {config['model']}, which reads no lists"
        )
    negatives = config["train_neg_sample_args"]
    if negatives["dynamic"] and not negatives["candidate_num"]:
        raise ConfigError(
            "dynamic in train_neg_sample_args is true, and candidate_num is 0; expected the number of candidates that "
            "the hardest is chosen from, as in {dynamic: true, candidate_num: 5}"
        )
    pairwise = config["MODEL_INPUT_TYPE"] == InputType.PAIRWISE and config["model"] not in _NO_NEGATIVES
    if pairwise and negatives["distribution"] == "none":
        raise ConfigError(
            f"train_neg_sample_args draws no negatives, which {config['model']} needs; expected them as in "
            "{distribution: uniform, sample_num: 1}"
        )


def reads_labels(config) -> bool:
    """Whether the model is trained on the labels of the data, in place of sampled negatives."""
    labelled = config["MODEL_TYPE"] == ModelType.CONTEXT or config["model"] in READ_LABELS
    return labelled and config["train_neg_sample_args"]["distribution"] == "none"


def applies(settings: Any, condition: Mapping[str, tuple]) -> bool:
    """Whether each setting of a condition has one of its values."""
    return all(settings[key] in values for key, values in condition.items())


def _check_package(config, needs: Needs) -> None:
    wanted = [needs.package] if needs.package and applies(config, needs.package_if) else []
    wanted += ["wandb"] if config["log_wandb"] else []
    for package in wanted:
        if find_spec(package) is None:
            reader = "log_wandb" if package == "wandb" else f"model {config['model']}"
            name = DISTRIBUTIONS.get(package, package)
            raise MissingExtraError(f"{reader} needs the package {name}, which is not installed: pip install {name}")


def _check_pretrained(config, needs: Needs) -> None:
    if not applies(config, needs.pretrained_if):
        return
    for key in needs.pretrained:
        path = config[key]
        if not path and not needs.pretrained_if:
            continue
        if not path or not os.path.isfile(path):
            why = ", ".join(f"{name} {config[name]!r}" for name in needs.pretrained_if)
            raise ConfigError(
                f"{key} is {path!r}; expected the file of a pre-trained model" + (f", which {why} needs" if why else "")
            )


def _check_files(config, needs: Needs) -> None:
    folder, name = Path(config["data_path"]), config["dataset"]
    if not (folder / f"{name}.inter").is_file():  # to be downloaded, in parts, or reported as missing
        return
    for suffix in (*needs.files, *(config["additional_feat_suffix"] or ())):
        path = folder / f"{name}.{suffix}"
        columns = f"; it reads the columns {needs.features} = {config[needs.features]!r}" if needs.features else ""
        if not path.is_file():
            raise DataError(f"model {config['model']} needs the file {path}, which does not exist{columns}")
        if config["load_col"] is not None and suffix not in config["load_col"]:
            raise ConfigError(
                f"load_col has no {suffix!r}, and {config['model']} needs columns of {path}{columns}; expected them in "
                f"load_col, as in {suffix}: {_EXAMPLES.get(suffix, '[...]')}"
            )


_EXAMPLES = {"item": "[item_id, class]", "kg": "[head_id, relation_id, tail_id]", "link": "[item_id, entity_id]"}
