"""The YAML files that the plugin ships: defaults of models and data sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """Reads plain data: ``1e-4`` is a number, as in RecBole, and dates are texts."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":float"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"""(?:[-+]?\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?
             |[-+]?\d[\d_]*[eE][-+]?\d+
             |[-+]?\.\d[\d_]*(?:[eE][-+]?\d+)?
             |[-+]?\.(?:inf|Inf|INF)
             |\.(?:nan|NaN|NAN))$""",
        re.X,
    ),
    list("-+0123456789."),
)


def read_yaml(path: Any) -> dict[str, Any]:
    """The content of a file that RecBole or the plugin ships; empty if there is no such file."""
    return (yaml.load(path.read_text(encoding="utf-8"), Loader=Loader) or {}) if path.is_file() else {}


def own_folder(folder: str) -> Any:
    """The folder ``properties`` or ``dataset_configs``: in the installed package, or beside it in a source tree."""
    try:
        return files(f"recbole_sigma.{folder}")
    except ModuleNotFoundError:
        return Path(__file__).parents[1] / folder


def read_own(folder: str, *names: str) -> dict[str, Any]:
    """The content of a file of the plugin, such as ``read_own("properties", "model", "SIGMA")``."""
    *folders, name = names
    path = own_folder(folder)
    for part in folders:
        path = path / part
    return read_yaml(path / f"{name}.yaml")


def next_item_defaults(properties: str | None) -> dict[str, Any]:
    """Defaults of a next-item model: those of all such models, overridden by its own file in properties/model/."""
    own = read_own("properties", "model", properties) if properties else {}
    return {**read_own("properties", "next_item"), **own}


def fill_defaults(config: Any, defaults: Mapping[str, Any]) -> None:
    """Add the defaults of keys that a dict, or RecBole's own Config, lacks."""
    for key, value in defaults.items():
        if key not in config:
            config[key] = value
