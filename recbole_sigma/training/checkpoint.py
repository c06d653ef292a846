"""Checkpoints: plain data that PyTorch's safe loader reads, written so that no failure damages an older one."""

from __future__ import annotations

import os

import numpy as np
import torch
from scipy import sparse

from recbole_sigma.errors import CheckpointError
from recbole_sigma.safe_write import replace_file

FORMAT = 3
PARTS = {
    "model": str,
    "config": dict,
    "metadata": (dict, type(None)),
    "state_dict": dict,
    "other_parameter": (dict, type(None)),
}
"""What every checkpoint has, and of which type."""
METADATA_PARTS = {"users": int, "items": int, "digest": str}


def save(state: dict, path: str | os.PathLike) -> None:
    """Write a checkpoint to a temporary file beside ``path``, flush it to the disk, and rename it.

    Args:
        state: plain data, tensors, arrays and sparse matrices, with the entries ``KEYS``.
        path: of the file; its folder is made.

    Raises:
        CheckpointError: the file cannot be written; an older one of this name is untouched.
    """
    try:
        with replace_file(path) as temporary, open(temporary, "wb") as file:
            torch.save(to_plain({"format": FORMAT, **state}), file)
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be written: {error}") from error
    except RuntimeError as error:  # of PyTorch's writer, for what the system did not write
        raise CheckpointError(
            f"checkpoint {path} cannot be written as a whole: expected a disk with room, and no limit to the size of "
            "files"
        ) from error


def load(path: str | os.PathLike, parts: dict = PARTS) -> dict:
    """Read a checkpoint with the safe loader, which runs no code.

    Args:
        path: of the file.
        parts: what it has to have, by name and type; a state of training has others than a model.

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
    except Exception as error:  # torch.load raises a dozen kinds for damaged and for unsafe files
        raise CheckpointError(
            f"checkpoint {path} cannot be read: it is truncated, damaged, or not written by recbole_sigma "
            f"({type(error).__name__})"
        ) from error
    return checked(state, path, parts)


def _upgraded(state):
    """A state of format 2 as one of format 3, where the metadata was called "catalog"; anything else as it is."""
    if not isinstance(state, dict) or state.get("format") != 2 or "catalog" not in state:
        return state
    state = {**state, "format": FORMAT, "metadata": state["catalog"]}
    del state["catalog"]
    return state


def checked(state, path: str | os.PathLike, parts: dict = PARTS) -> dict:
    """A state as it was read, if it has what was saved.

    Args:
        state: anything.
        path: of the file that it was read from, for messages.
        parts: as for ``load``.

    Returns:
        The state.

    Raises:
        CheckpointError: it is no state of a checkpoint.
    """
    state = _upgraded(state)
    foreign = f"{path} is not a checkpoint of this version of recbole_sigma (format {FORMAT})"
    if not isinstance(state, dict) or not state.keys() >= {"format", *parts}:
        raise CheckpointError(foreign)
    if not _well_formed(state, parts):
        raise CheckpointError(f"checkpoint {path} is damaged: it has entries of other types than were written")
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
    """Put more entries into a checkpoint, in the place of those that it has of these names.

    Args:
        path: of the checkpoint.
        entries: as ``save`` takes them.

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
    """Put the parameters of a checkpoint into a model.

    Args:
        model: of RecBole or the plugin.
        state: as ``load`` returns it.
        path: of the checkpoint, for messages.
        model_name: of the model.
        expected_metadata: of the data set, as ``data.identify`` returns it; None takes any.
        settings: those of the model, which have to be those of the checkpoint; two that differ may fit by shape.

    Raises:
        CheckpointError: the checkpoint is of another model, of other settings, or of another catalog.
    """
    if state["model"] != model_name:
        raise CheckpointError(f"checkpoint {path} is of the model {state['model']}; expected {model_name}")
    if None not in (expected_metadata, state["metadata"]) and state["metadata"]["digest"] != expected_metadata["digest"]:
        found = "{users} users and {items} items".format(**state["metadata"])
        wanted = "{users} users and {items} items".format(**expected_metadata)
        if found == wanted:
            wanted = "others of the same number"
        raise CheckpointError(
            f"checkpoint {path} was trained on another catalog: {found}; this data set has {wanted}. Use the data set, "
            "filters and files that it was trained with"
        )
    differing = [
        f"{key} = {state['config'][key]!r} (here {value!r})"
        for key, value in (settings or {}).items()
        if key in state["config"] and _differ(state["config"][key], value)
    ]
    if differing:
        raise CheckpointError(
            f"checkpoint {path} was trained with other settings of {model_name}: {', '.join(differing)}. Give its own"
        )
    try:
        model.load_state_dict(state["state_dict"])
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        model.load_other_parameter(_moved(state["other_parameter"], device))
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"checkpoint {path} was trained with other settings of {model_name}: {error}\n"
            "Its own stand under 'config' in it"
        ) from error


def _moved(value, device: torch.device):
    """A value, or what is in a container, on a device if it is a tensor."""
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
    except (RuntimeError, ValueError):  # arrays and tensors have no single answer, and are no settings
        return True


def to_plain(value):
    """Tensors, numbers, text and containers as they are; arrays and sparse matrices as dictionaries of tensors.

    Arrays of texts, of one dimension, become one text and where each of them ends.
    """
    if isinstance(value, np.generic):  # before float: a numpy.float64 is one
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "UO":
        texts = list(map(str, value))
        ends = torch.tensor([len(text) for text in texts], dtype=torch.long).cumsum(0)
        return {"__kind__": "texts", "text": "".join(texts), "ends": ends}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"__kind__": "ndarray", "data": torch.from_numpy(np.ascontiguousarray(value))}
    if sparse.issparse(value):
        csr = value.tocsr()
        parts = {name: torch.from_numpy(getattr(csr, name)) for name in ("data", "indices", "indptr")}
        array = isinstance(value, sparse.sparray)
        return {"__kind__": "sparse", "format": value.format, "array": array, "shape": list(value.shape), **parts}
    if isinstance(value, dict):
        return {to_plain(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(to_plain, value))
    raise CheckpointError(f"a value of the type {type(value).__name__} cannot be saved as plain data")


def from_plain(value):
    """Inverse of ``to_plain``."""
    if isinstance(value, dict):
        if value.get("__kind__") == "ndarray":
            return value["data"].numpy()
        if value.get("__kind__") == "texts":
            ends = value["ends"].tolist()
            return np.array([value["text"][start:end] for start, end in zip([0, *ends], ends)], dtype=object)
        if value.get("__kind__") == "sparse":
            matrix = sparse.csr_array if value["array"] else sparse.csr_matrix
            parts = tuple(value[name].numpy() for name in ("data", "indices", "indptr"))
            csr = matrix(parts, shape=tuple(value["shape"]))
            csr.check_format(full_check=True)  # indices out of range would be written to in another format
            return csr.asformat(value["format"])
        return {key: from_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(from_plain, value))
    return value
