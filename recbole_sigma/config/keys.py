"""What there is: models, and the keys that each model understands."""

from __future__ import annotations

import inspect
import re
import sys
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

# Pickled copies of data, which run code when they are loaded and do not notice another data_path.
NOT_KEPT = ("save_dataset", "dataset_save_path", "save_dataloaders", "dataloaders_save_path")

# RecBole computes these; a value given by the user would be lost or break it.
COMPUTED = {
    "device": "it follows from use_gpu and gpu_id",
    "single_spec": "it follows from local_rank",
    "eval_type": "it follows from metrics",
    "MODEL_TYPE": "it follows from the model",
    "MODEL_INPUT_TYPE": "it follows from the model",
    "valid_neg_sample_args": "it follows from the mode in eval_args",
    "test_neg_sample_args": "it follows from the mode in eval_args",
}


def known_models() -> list[str]:
    """Names of the plugin's and of RecBole's models."""
    return sorted({*MODELS, *_recbole_models()})


def find_model(name: Any) -> type:
    """The class of a model of the plugin or of RecBole."""
    name = str(name)
    if "," in name:
        raise ConfigError(f"model is {name!r}; expected one name: compare_models runs several and compares them")
    if name in MODELS:
        return MODELS[name]
    if name not in _recbole_models():
        close = close_matches(name, known_models(), 3)
        raise ConfigError(f"model {name!r} is not known{did_you_mean(close)}")
    try:
        return get_model(name)
    except ImportError as error:
        raise ConfigError(f"model {name} needs a package that cannot be imported: {error}") from error


@cache
def _recbole_models() -> frozenset[str]:
    """Class names in files of the same name, found without importing them."""
    names = set()
    for path in _RECBOLE.glob("model/*_recommender/*.py"):
        classes = re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.M)
        names.update(name for name in classes if name.lower() == path.stem)
    return frozenset(names)


def known_keys(model_class: type) -> set[str]:
    """Every key that the plugin, RecBole or the model declares in a YAML file or reads in its source."""
    return declared_keys(model_class) | ((_core_reads() | _model_reads(model_class)) - COMPUTED.keys())


def model_keys(model_class: type) -> set[str]:
    """Keys that are declared for this model alone, and the longest history."""
    return (declared_keys(model_class) - core_keys()) | {"MAX_ITEM_LIST_LENGTH"}


def declared_keys(model_class: type) -> set[str]:
    name = model_class.__name__
    return {
        *core_keys(),
        *read_yaml(_RECBOLE / "properties" / "model" / f"{name}.yaml"),
        *own_defaults(model_class),
        *getattr(model_class, "rules", {}),
    }


def own_defaults(model_class: type) -> dict[str, Any]:
    """Defaults that the plugin's files give a model."""
    if issubclass(model_class, NextItemRecommender):
        return next_item_defaults(model_class.properties)
    return read_own("properties", "model", model_class.__name__)


@cache
def core_keys() -> frozenset[str]:
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


_READS = re.compile(
    r"""config(?:_dict)?(?:\[|\.get\()\s*["']([\w-]+)["']"""
    r"""|hasattr\(\s*(?:self\.)?config,\s*["']([\w-]+)["']"""
    r"""|["']([\w-]+)["']\s+(?:not\s+)?in\s+(?:self\.)?(?:final_)?config(?:_dict)?\b(?!\[)"""
)


def _reads(source: str) -> set[str]:
    return {key for match in _READS.findall(source) for key in match if key}


@cache
def _core_reads() -> frozenset[str]:
    folders = ("config", "data", "evaluator", "sampler", "trainer", "utils")
    paths = [path for folder in folders for path in (_RECBOLE / folder).rglob("*.py") if path.stem != "hyper_tuning"]
    return frozenset().union(*(_reads(path.read_text(encoding="utf-8")) for path in paths))


@cache
def _model_reads(model_class: type) -> frozenset[str]:
    """What the model's module reads, and the classes it is derived from."""
    keys: set[str] = set()
    for source in (sys.modules.get(model_class.__module__), *model_class.__mro__):
        try:
            keys |= _reads(inspect.getsource(source))
        except (OSError, TypeError):  # built in, or typed into a session
            continue
    return frozenset(keys)


def owners(key: Any) -> str:
    """The models whose YAML file declares ``key``, in words."""
    names = [
        name
        for name in known_models()
        if key in read_own("properties", "model", name)
        or key in read_yaml(_RECBOLE / "properties" / "model" / f"{name}.yaml")
    ]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more models" if len(names) > 3 else "")
