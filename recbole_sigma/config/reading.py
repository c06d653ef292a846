"""Settings as text: YAML files, command lines, and single values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from recbole_sigma.defaults import Loader, own_folder
from recbole_sigma.errors import ConfigError


class _FileLoader(Loader):
    """Raises an error for a key that is given twice."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag.endswith(":merge"):
                continue
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else id(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _TextLoader(_FileLoader):
    """For single values: reads Python's None as well."""


_TextLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"None$"), ["N"])


def parse(key: str, value: Any) -> Any:
    """The value of a string on the command line or in ``config_dict``.

    Scalars, ``[...]`` and ``{...}`` are read as YAML. Everything else is text, such as ``[5,inf)`` or ``|``. For seeds
    the brackets may be left out.
    """
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if not isinstance(value, str) or key in ("model", "dataset"):
        return value
    if key == "seeds" and "," in value and not value.lstrip().startswith("["):
        value = f"[{value}]"
    try:
        loader = _TextLoader(value)
        node = loader.get_single_node()
        whole = node is not None and not value[node.end_mark.index :].strip()  # no comment cut off
        block = getattr(node, "flow_style", None) is False or getattr(node, "style", None) in ("|", ">")
        return loader.construct_document(node) if whole and not block else value
    except (yaml.YAMLError, ValueError):
        return value


def split_argv(argv: Sequence[str]) -> tuple[dict[str, Any], set[str]]:
    """The text given for each key, and the keys given as ``--flag`` without a value."""
    given: dict[str, Any] = {}
    flags = set()
    words = list(argv)
    while words:
        word = words.pop(0)
        key, equals, value = word[2:].partition("=")
        if not word.startswith("--") or not key:
            raise ConfigError(f"{word!r} on the command line is not a setting; expected --key=value or --key value")
        if not equals:
            if words and not words[0].startswith("--"):
                value = words.pop(0)
            else:
                value = True
                flags.add(key)
        if key in given and given[key] != value:
            raise ConfigError(f"--{key} is given twice, as {given[key]} and as {value}; expected one value")
        given[key] = value
    return given, flags


def preset_model(path: Any) -> str | None:
    """Name of the model that a preset is for; None for a path of a file."""
    return None if _preset(path) is None else path.partition("-")[0]


def _preset(path: Any) -> Any:
    """The file of the preset of that name, unless there is a file at that path."""
    return None if os.path.exists(path) else _presets().get(path)


def _presets() -> dict[str, Any]:
    return {file.name[: -len(".yaml")]: file for file in (own_folder("properties") / "presets").iterdir()}


def read_user_file(path: Any) -> dict[str, Any]:
    """Settings in a file, or in the preset of that name if there is no such file."""
    source = _preset(path) or Path(path)
    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"config file {path} cannot be read: {error.strerror}; expected a YAML file, or a preset: "
            f"{', '.join(sorted(_presets()))}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"config file {path} is not text in UTF-8: {error}") from error
    try:
        settings = yaml.load(text, Loader=_FileLoader)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else path
        raise ConfigError(f"config file {place}: {getattr(error, 'problem', None) or error}") from error
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise ConfigError(f"config file {path} holds a {type(settings).__name__}; expected lines such as key: value")
    return settings


def overlay(settings: dict[str, Any], layer: Mapping[str, Any], merged: Sequence[str] = ("eval_args",)) -> None:
    """Update ``settings`` by ``layer``; mappings under the keys ``merged`` are merged, other values replaced."""
    for key, value in layer.items():
        below = settings.get(key)
        if key in merged and isinstance(value, dict) and isinstance(below, dict):
            value = {**below, **value}
        settings[key] = value
