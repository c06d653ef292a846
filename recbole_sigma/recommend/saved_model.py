"""A model built from its checkpoint alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from recbole.utils import ModelType

from recbole_sigma.training import checkpoint
from recbole_sigma.config import find_model
from recbole_sigma.data import DescribedDataset
from recbole_sigma.errors import CheckpointError, ConfigError, RequestError
from recbole_sigma.recommend.members import MEMBERS
from recbole_sigma.rules import at_least

ALONE = {"benchmark_filename": None, "train_stage": "pretrain", "pre_model_path": None}
"""Settings that replace those of the checkpoint. With the last two, S3Rec does not unpickle the file of an earlier stage."""


class Settings(dict):
    """Settings of a checkpoint; None for missing keys, as in RecBole's Config.

    Attributes:
        model_class: the class of its model.
    """

    model_class: type | None = None

    def __missing__(self, key):
        return None


class SavedModel(NamedTuple):
    """The content of a checkpoint.

    Attributes:
        model: with the parameters of the checkpoint, in evaluation mode.
        settings: the settings of its training.
        dataset: the data set of its training, without interactions.
        state: the whole content of the checkpoint.
        path: path of the checkpoint.
        members: the checkpoints of an average; none for a single model.
    """

    model: Any
    settings: Settings
    dataset: DescribedDataset
    state: dict
    path: str
    members: tuple[SavedModel, ...] = ()


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU if there is one.

    Raises:
        RequestError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise RequestError(
            f"device is {name!r}, which cannot be used here ({error}); expected auto, cpu or cuda"
        ) from error


def newest_checkpoint(path: str | os.PathLike) -> str:
    """The path, or if it is a folder, the newest checkpoint of a sequential model or list of members in it.

    Raises:
        CheckpointError: there is none in the folder.
    """
    if not os.path.isdir(path):
        return os.fspath(path)
    found = [
        file
        for file in Path(path).glob("*.pth")
        if not file.name.startswith(("pretrained-", ".")) and _may_be_sequential(file.name.partition("-")[0])
    ]
    found += [file for file in Path(path).glob(f"*{MEMBERS}") if not file.name.startswith(".")]
    if not found:
        raise CheckpointError(
            f"{os.fspath(path)} has no checkpoint of a sequential model; expected a file of a run, "
            "<model>-<data set>-....pth"
        )
    return str(max(found, key=lambda file: file.stat().st_mtime_ns))


def _may_be_sequential(model: str) -> bool:
    """Whether a model of this name is sequential; true for names that the plugin does not know."""
    try:
        return _is_sequential(find_model(model))
    except ConfigError:
        return True


def _is_sequential(model_class: type) -> bool:
    return model_class.type == ModelType.SEQUENTIAL


def build_model(
    state: dict, path: str | os.PathLike, device: torch.device, model_class: type | None = None
) -> SavedModel:
    """Build the sequential model of a checkpoint.

    Args:
        state: the content of the checkpoint.
        path: of the file that it was read from, for messages.
        device: where the model is to be.
        model_class: of a model that is neither the plugin's nor RecBole's.

    Raises:
        CheckpointError: the model is unknown, not sequential, or cannot be built.
    """
    try:
        model_class = model_class or find_model(state["model"])
    except ConfigError as error:
        raise CheckpointError(
            f"checkpoint {path} is of {state['model']}, which is no model of the plugin or of RecBole; expected its "
            f"class as well: load({os.fspath(path)!r}, model_class={state['model']})"
        ) from error
    if not _is_sequential(model_class):
        raise CheckpointError(
            f"checkpoint {path} is of {state['model']}, which recommends to known users and not to histories; expected a "
            "sequential model, such as SIGMA, SASRecAP or SASRec"
        )
    if state["metadata"] is None:
        raise CheckpointError(f"checkpoint {path} does not name its items; expected a checkpoint of a run of the plugin")
    settings = Settings({**state["config"], "device": device, **ALONE})
    settings.model_class = model_class
    try:
        for key in ("eval_batch_size", "MAX_ITEM_LIST_LENGTH"):
            at_least(1).check(key, settings[key])
        dataset = DescribedDataset(settings, state["metadata"])
        with torch.random.fork_rng(devices=[]):
            model = model_class(settings, dataset).to(device)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise CheckpointError(
            f"checkpoint {path}: {state['model']} cannot be built from it ({type(error).__name__}: {error}); expected "
            "one that this version of recbole_sigma and RecBole wrote"
        ) from error
    checkpoint.restore(model, state, path, state["model"])
    return SavedModel(model.eval(), settings, dataset, state, path)
