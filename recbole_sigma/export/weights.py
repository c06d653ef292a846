"""Checkpoints as safetensors: the weights by name, and the rest as JSON and arrays."""

from __future__ import annotations

import json
import os
from pathlib import Path

from torch import Tensor

from recbole_sigma.training import checkpoint
from recbole_sigma.errors import CheckpointError
from recbole_sigma.export.names import DATA, MODEL, SETTINGS
from recbole_sigma.extras import require
from recbole_sigma.recommend import Recommender
from recbole_sigma.recommend.saved_model import build_model, pick_device

WEIGHTS = MODEL["safetensors"]


def write_weights(state: dict, folder: Path) -> None:
    """Write the parts of a checkpoint that make the model, without the history and the results of its training.

    Raises:
        MissingExtraError: safetensors is not installed.
    """
    safetensors = require("safetensors.torch", "safetensors")
    tensors: dict[str, Tensor] = {}
    rest = {part: state[part] for part in ("format", *checkpoint.PARTS) if part != "state_dict"}
    tree = _without_tensors(checkpoint.to_plain(rest), "", tensors)
    weights = {name: weight.contiguous().clone() for name, weight in state["state_dict"].items()}
    (folder / WEIGHTS).write_bytes(safetensors.save(weights, {"format": "pt", "model": state["model"]}))
    (folder / DATA).write_bytes(safetensors.save(tensors, {"format": "pt"}))
    (folder / SETTINGS).write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_weights(folder: str | os.PathLike) -> dict:
    """Read what ``write_weights`` wrote, on the CPU.

    Raises:
        CheckpointError: a file is missing, damaged, or of another version.
        MissingExtraError: safetensors is not installed.
    """
    safetensors = require("safetensors.torch", "safetensors")
    folder = Path(folder)
    try:
        weights, tensors = (safetensors.load_file(folder / name) for name in (WEIGHTS, DATA))
        tree = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        state = {**checkpoint.from_plain(_with_tensors(tree, tensors)), "state_dict": weights}
    except Exception as error:  # safetensors raises its own kinds
        raise CheckpointError(
            f"{folder} cannot be read: {type(error).__name__}: {error}. Expected a folder that recbole-sigma export "
            f"--format safetensors wrote, with {WEIGHTS}, {DATA} and {SETTINGS}"
        ) from error
    return checkpoint.checked(state, folder / SETTINGS)


def load_weights(folder: str | os.PathLike, device: str = "auto", model_class: type | None = None) -> Recommender:
    """Like ``recbole_sigma.load``, from a folder with an export as safetensors.

    Args:
        folder: contains the files of the export.
        device, model_class: as for ``recbole_sigma.load``.

    Returns:
        The model in use.

    Raises:
        CheckpointError: a file is missing, damaged, or of another version.
        MissingExtraError: safetensors is not installed.
        RequestError: there is no such device.
    """
    place = pick_device(device)
    return Recommender(build_model(read_weights(folder), os.fspath(folder), place, model_class))


def _without_tensors(value, path: str, tensors: dict[str, Tensor]):
    """Plain data in which each tensor is replaced by its name; the tensors are put into ``tensors``."""
    if isinstance(value, Tensor):
        tensors[path] = value.contiguous().clone()
        return {"__tensor__": path}
    if isinstance(value, dict):
        return {key: _without_tensors(item, _join(path, key), tensors) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_tensors(item, _join(path, number), tensors) for number, item in enumerate(value)]
    return value


def _with_tensors(value, tensors: dict[str, Tensor]):
    if isinstance(value, dict):
        if "__tensor__" in value:
            return tensors[value["__tensor__"]]
        return {key: _with_tensors(item, tensors) for key, item in value.items()}
    return [_with_tensors(item, tensors) for item in value] if isinstance(value, list) else value


def _join(path: str, part: object) -> str:
    return f"{path}.{part}" if path else str(part)
