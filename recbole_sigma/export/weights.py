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
from recbole_sigma.model.average import AVERAGES
from recbole_sigma.recommend import Recommender
from recbole_sigma.recommend.saved_average import average_of_saved, build_member
from recbole_sigma.recommend.saved_model import build_model, pick_device

WEIGHTS = MODEL["safetensors"]


def write_weights(state: dict, folder: Path) -> None:
    """Write the parts of a checkpoint that make the model, without the history and the results of its training.

    Raises:
        MissingExtraError: safetensors is not installed.
    """
    safetensors = require("safetensors.torch", "safetensors")
    tensors: dict[str, Tensor] = {}
    tree = _without_tensors(checkpoint.to_plain(_rest(state)), "", tensors)
    weights = {name: weight.contiguous().clone() for name, weight in _weights(state).items()}
    (folder / WEIGHTS).write_bytes(safetensors.save(weights, {"format": "pt", "model": state["model"]}))
    (folder / DATA).write_bytes(safetensors.save(tensors, {"format": "pt"}))
    (folder / SETTINGS).write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _rest(state: dict) -> dict:
    """The parts of a checkpoint besides its weights; for an average, those of each member."""
    if "members" in state:
        return {"average": state["average"], "members": [_rest(member) for member in state["members"]]}
    return {part: state[part] for part in ("format", *checkpoint.PARTS) if part != "state_dict"}


def _weights(state: dict) -> dict[str, Tensor]:
    """The weights by their names; for an average, after the number of the member, as in ``0.item_embedding.weight``."""
    if "members" not in state:
        return state["state_dict"]
    return {
        f"{place}.{name}": weight
        for place, member in enumerate(state["members"])
        for name, weight in member["state_dict"].items()
    }


def read_weights(folder: str | os.PathLike) -> dict:
    """Read what ``write_weights`` wrote, on the CPU.

    Returns:
        The parts of a checkpoint, or ``average`` and ``members``, those of each member.

    Raises:
        CheckpointError: a file is missing, damaged, or of another version.
        MissingExtraError: safetensors is not installed.
    """
    safetensors = require("safetensors.torch", "safetensors")
    folder = Path(folder)
    try:
        weights, tensors = (safetensors.load_file(folder / name) for name in (WEIGHTS, DATA))
        tree = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        state = checkpoint.from_plain(_with_tensors(tree, tensors))
        states = _members(state, weights) if "members" in state else [{**state, "state_dict": weights}]
    except Exception as error:  # safetensors raises its own kinds
        raise CheckpointError(
            f"{folder} cannot be read: {type(error).__name__}: {error}. Expected a folder that recbole-sigma export "
            f"--format safetensors wrote, with {WEIGHTS}, {DATA} and {SETTINGS}"
        ) from error
    states = [checkpoint.checked(own, folder / SETTINGS) for own in states]
    return {"average": state["average"], "members": states} if "members" in state else states[0]


def _members(state: dict, weights: dict[str, Tensor]) -> list[dict]:
    """The members of an average, each with its weights."""
    if state["average"] not in AVERAGES or len(state["members"]) < 2:
        raise ValueError("an average of two members or more is expected")
    of_member: list[dict[str, Tensor]] = [{} for _ in state["members"]]
    for name, weight in weights.items():
        place, _, own = name.partition(".")
        of_member[int(place)][own] = weight
    return [{**member, "state_dict": own} for member, own in zip(state["members"], of_member)]


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
    place, path, state = pick_device(device), os.fspath(folder), read_weights(folder)
    if "members" in state:
        members = [build_member(member, path, place, model_class) for member in state["members"]]
        return Recommender(average_of_saved(members, state["average"], path))
    return Recommender(build_model(state, path, place, model_class))


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
