"""Checkpoint files: plain data for PyTorch's safe loader, written so that a failure leaves the older file intact."""

from __future__ import annotations

import os

import torch

from recbole_sigma.errors import CheckpointError
from recbole_sigma.safe_write import replace_file
from recbole_sigma.training.plain_data import from_plain, to_plain

FORMAT = 3
PARTS = {
    "model": str,
    "config": dict,
    "metadata": (dict, type(None)),
    "state_dict": dict,
    "other_parameter": (dict, type(None)),
}
"""The entries that every checkpoint has, and their types."""
METADATA_PARTS = {"users": int, "items": int, "digest": str}


def save(state: dict, path: str | os.PathLike) -> None:
    """Write a checkpoint to a temporary file beside ``path``, flush it to the disk, and rename it.

    Args:
        state: a dict of plain data, tensors, arrays and sparse matrices.
        path: of the file; its folder is created.

    Raises:
        CheckpointError: the file cannot be written; an older file of this name is unchanged.
    """
    try:
        with replace_file(path) as temporary, open(temporary, "wb") as file:
            torch.save(to_plain({"format": FORMAT, **state}), file)
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be written: {error}") from error
    except RuntimeError as error:  # PyTorch's writer, when the system writes only a part
        raise CheckpointError(
            f"checkpoint {path} cannot be written completely; expected enough free space on the disk, and no limit on "
            "the size of files"
        ) from error


def load(path: str | os.PathLike, parts: dict = PARTS) -> dict:
    """Read a checkpoint with the safe loader, which runs no code.

    Args:
        path: of the file.
        parts: names and types of the entries that it must have; those of a ``.resume`` file are others.

    Returns:
        The state that was saved, on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint of this plugin.
    """
    if not os.path.isfile(path):
        raise CheckpointError(f"checkpoint {path} does not exist")
    try:
        state = from_plain(torch.load(path, map_location="cpu", weights_only=True))
    except PermissionError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    except Exception as error:  # torch.load raises a dozen types for damaged and for unsafe files
        raise CheckpointError(
            f"checkpoint {path} cannot be read: it is truncated, damaged, or not written by recbole_sigma "
            f"({type(error).__name__})"
        ) from error
    return checked(state, path, parts)


def _upgraded(state):
    """A checkpoint of format 2, which calls the metadata "catalog", in format 3; anything else is returned as it is."""
    if not isinstance(state, dict) or not _has(state, {"format": int}) or state["format"] != 2 or "catalog" not in state:
        return state
    state = {**state, "format": FORMAT, "metadata": state["catalog"]}
    del state["catalog"]
    return state


def checked(state, path: str | os.PathLike, parts: dict = PARTS) -> dict:
    """Check what was read from a file.

    Args:
        state: of any type.
        path: of the file, for messages.
        parts: as for ``load``.

    Returns:
        The state, in the present format.

    Raises:
        CheckpointError: it is not the state of a checkpoint.
    """
    state = _upgraded(state)
    foreign = f"{path} is not a checkpoint of this version of recbole_sigma (format {FORMAT})"
    if not isinstance(state, dict) or not state.keys() >= {"format", *parts}:
        raise CheckpointError(foreign)
    if not _well_formed(state, parts):
        raise CheckpointError(f"checkpoint {path} is damaged: its entries have other types than those that were written")
    if state["format"] != FORMAT:
        raise CheckpointError(foreign)
    return state


def _well_formed(state: dict, parts: dict) -> bool:
    """Whether the parts have the types that ``restore`` relies on."""
    named = [state.get(part) for part in ("config", "state_dict", "other_parameter")]
    names = (name for part in named if isinstance(part, dict) for name in part)
    metadata = state.get("metadata")
    return (
        _has(state, {"format": int, **parts})
        and all(isinstance(name, str) for name in names)
        and (metadata is None or _has(metadata, METADATA_PARTS))
    )


def _has(state: dict, parts: dict) -> bool:
    return all(isinstance(state.get(part), kind) for part, kind in parts.items())


def add(path: str | os.PathLike, **entries) -> None:
    """Add entries to a checkpoint; they replace older ones of the same names.

    Args:
        path: of the checkpoint.
        entries: values as for ``save``.

    Raises:
        CheckpointError: it cannot be read or written; it stays as it was.
    """
    save({**load(path), **entries}, path)


def restore(
    model: torch.nn.Module,
    state: dict,
    path: str,
    model_name: str,
    expected_metadata: dict | None = None,
    settings: dict | None = None,
) -> None:
    """Load the parameters of a checkpoint into a model.

    Args:
        model: of RecBole or the plugin.
        state: as ``load`` returns it.
        path: of the checkpoint, for messages.
        model_name: of the model.
        expected_metadata: of the data set, as ``data.identify`` returns it; None for any.
        settings: of the model; they must be those of the checkpoint, even where other settings give the same shapes.

    Raises:
        CheckpointError: the checkpoint is of another model, other settings or another catalog.
    """
    if state["model"] != model_name:
        raise CheckpointError(f"checkpoint {path} is of the model {state['model']}; expected {model_name}")
    if None not in (expected_metadata, state["metadata"]) and state["metadata"]["digest"] != expected_metadata["digest"]:
        found = "{users} users and {items} items".format(**state["metadata"])
        wanted = "{users} users and {items} items".format(**expected_metadata)
        if found == wanted:
            wanted = "the same numbers of other users or items"
        raise CheckpointError(
            f"checkpoint {path} was trained on another catalog: {found}; this data set has {wanted}. Use the data set, "
            "filters and files of its training"
        )
    differing = [
        f"{key} = {state['config'][key]!r} (here {value!r})"
        for key, value in (settings or {}).items()
        if key in state["config"] and _differ(state["config"][key], value)
    ]
    if differing:
        raise CheckpointError(
            f"checkpoint {path} was trained with other settings of {model_name}: {', '.join(differing)}. Use the "
            "settings of the checkpoint"
        )
    try:
        model.load_state_dict(state["state_dict"])
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        model.load_other_parameter(_moved(state["other_parameter"], device))
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"checkpoint {path} was trained with other settings of {model_name}: {error}\n"
            "The entry 'config' of the checkpoint has its settings"
        ) from error


def _moved(value, device: torch.device):
    """The tensors of a value, which may be nested, on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(item, device) for item in value)
    return value


def _differ(saved, value) -> bool:
    try:
        return bool(saved != value)
    except (RuntimeError, ValueError):  # arrays and tensors, which are not settings
        return True
