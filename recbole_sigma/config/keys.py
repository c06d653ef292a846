"""Known models, and the keys that each model reads."""

from __future__ import annotations

import ast
import inspect
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import recbole
from recbole.utils import (
    dataset_arguments,
    evaluation_arguments,
    general_arguments,
    get_model,
    training_arguments,
)

from recbole_sigma.defaults import next_item_defaults, read_own, read_yaml
from recbole_sigma.errors import ConfigError, close_matches, did_you_mean
from recbole_sigma.model.base import NextItemRecommender
from recbole_sigma.model.registry import MODELS

_RECBOLE = Path(recbole.__file__).parent

# Copies of data that RecBole pickles: loading runs code from the file, and a changed data_path goes unnoticed.
SAVED_DATA = ("save_dataset", "dataset_save_path", "save_dataloaders", "dataloaders_save_path")

# Keys of RecBole that a user cannot set, and why.
NOT_SETTABLE = {
    "device": "it follows from use_gpu and gpu_id",
    "eval_type": "it follows from metrics",
    "MODEL_TYPE": "it follows from the model",
    "MODEL_INPUT_TYPE": "it follows from the model",
    "valid_neg_sample_args": "it follows from the mode in eval_args",
    "test_neg_sample_args": "it follows from the mode in eval_args",
    **dict.fromkeys(
        ("neg_sampling", "training_neg_sample_num"),
        "RecBole reads it no more; use train_neg_sample_args: {distribution: uniform, sample_num: 1}",
    ),
    **dict.fromkeys(
        ("single_spec", "local_rank", "nproc", "world_size", "ip", "port", "offset"), "a run uses one process"
    ),
}

CONSTANT_RATE = {"learning_rate_schedule": "constant", "warmup_epochs": 0}
"""The settings of a learning rate that never changes, which is the only one for RecBole's own models."""


def has_schedule(config) -> bool:
    """Whether the learning rate changes during the training."""
    return any(config[key] != value for key, value in CONSTANT_RATE.items())


def known_models() -> list[str]:
    """Names of the plugin's and of RecBole's models."""
    return sorted({*MODELS, *(name for stem in _model_files() for name in _models_in(stem))})


def find_model(name: Any) -> type:
    """The class of a model of the plugin or of RecBole."""
    name = str(name)
    if "," in name:
        raise ConfigError(f"model is {name!r}; expected one name; compare_models runs several models")
    if name in MODELS:
        return MODELS[name]
    if name not in _models_in(name.lower()):
        close = close_matches(name, known_models(), 3)
        raise ConfigError(f"model {name!r} is not known{did_you_mean(close)}")
    try:
        return get_model(name)
    except ImportError as error:
        raise ConfigError(f"model {name} needs a package that cannot be imported: {error}") from error


@cache
def _model_files() -> dict[str, Path]:
    """Modules of RecBole that may hold a model, by their name."""
    return {path.stem: path for path in _RECBOLE.glob("model/*_recommender/*.py")}


@cache
def _models_in(module: str) -> tuple[str, ...]:
    """Classes of the name of their module, which is how RecBole finds models; the module is not imported."""
    path = _model_files().get(module)
    body = _parse(path.read_text(encoding="utf-8")).body if path else []
    return tuple(node.name for node in body if isinstance(node, ast.ClassDef) and node.name.lower() == module)


def known_keys(model_class: type) -> set[str]:
    """Every key that the plugin, RecBole or the model declares in a YAML file or reads in its source."""
    return declared_keys(model_class) | ((_core_reads() | _model_reads(model_class)) - NOT_SETTABLE.keys())


def model_keys(model_class: type) -> set[str]:
    """Keys that a model declares beside those of every model, and the longest history."""
    return (declared_keys(model_class) - core_keys()) | {"MAX_ITEM_LIST_LENGTH"}


def declared_keys(model_class: type) -> set[str]:
    """Keys in the YAML files that hold for a model, and those that it has rules for."""
    name = model_class.__name__
    return {
        *core_keys(),
        *read_yaml(_RECBOLE / "properties" / "model" / f"{name}.yaml"),
        *own_defaults(model_class),
        *getattr(model_class, "rules", {}),
    }


def own_defaults(model_class: type) -> dict[str, Any]:
    """Defaults of a model in the plugin's files for models."""
    if issubclass(model_class, NextItemRecommender):
        return next_item_defaults(model_class.properties)
    return read_own("properties", "model", model_class.__name__)


@cache
def core_keys() -> frozenset[str]:
    """Keys that RecBole and the plugin declare for every model."""
    properties = _RECBOLE / "properties"
    keys = {"model", "dataset", "config_files", *read_own("properties", "overall")}
    keys.update(general_arguments, training_arguments, evaluation_arguments, dataset_arguments)
    for path in [
        properties / "overall.yaml",
        properties / "dataset" / "sample.yaml",
        *properties.glob("quick_start_config/*.yaml"),
    ]:
        keys.update(read_yaml(path))
    return frozenset(keys)


def _parse(source: str) -> ast.Module:
    """The syntax tree of a module, or of a class, which may be indented."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's, of RecBole's source
        return ast.parse(f"if True:\n{source}" if source[:1].isspace() else source)


def reads(source: str) -> set[str]:
    """The keys that Python code reads from a configuration.

    These are the texts in ``config["key"]``, ``config.get("key")``, ``hasattr(config, "key")`` and ``"key" in config``,
    where ``config`` is any name or attribute that ends in "config" or "config_dict".
    """
    return {
        key.value
        for node in ast.walk(_parse(source))
        for config, key in _look_ups(node)
        if _is_config(config) and isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def _look_ups(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """What is read, and by which key, in each of the four forms."""
    if isinstance(node, ast.Subscript):
        yield node.value, node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        yield node.func.value, node.args[0]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hasattr":
        yield tuple(node.args)
    elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
        yield node.comparators[0], node.left


def _is_config(node: ast.AST) -> bool:
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
    return name.endswith(("config", "config_dict"))


@cache
def _core_reads() -> frozenset[str]:
    folders = ("config", "data", "evaluator", "sampler", "trainer", "utils")
    paths = [path for folder in folders for path in (_RECBOLE / folder).rglob("*.py") if path.stem != "hyper_tuning"]
    return frozenset().union(*(reads(path.read_text(encoding="utf-8")) for path in paths))


def _model_reads(model_class: type) -> set[str]:
    """What the model's module reads, and the classes it is derived from."""
    return set().union(*map(_source_reads, (sys.modules.get(model_class.__module__), *model_class.__mro__)))


@cache
def _source_reads(source: Any) -> frozenset[str]:
    """What a module or a class reads; nothing if its source is not available, as in an interactive session."""
    try:
        return frozenset(reads(inspect.getsource(source)))
    except (OSError, TypeError, SyntaxError):
        return frozenset()


def owners(key: Any) -> str:
    """The models whose YAML file declares ``key``, in words; empty if there is none."""
    names = [
        name
        for name in known_models()
        if key in read_own("properties", "model", name)
        or key in read_yaml(_RECBOLE / "properties" / "model" / f"{name}.yaml")
    ]
    if key in read_own("properties", "next_item"):
        names = ["the plugin's models", *(name for name in names if name not in MODELS)]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more models" if len(names) > 3 else "")
