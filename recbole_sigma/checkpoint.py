"""Checkpoints: plain data that PyTorch's safe loader reads, written so that no failure damages an older one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy import sparse

from recbole_sigma.errors import CheckpointError

FORMAT = 1
KEYS = {"model", "config", "catalog", "state_dict", "other_parameter"}


def save(state: dict, path: str | os.PathLike) -> None:
    """Write a checkpoint to a temporary file beside ``path``, flush it to the disk, and rename it.

    Raises:
        CheckpointError: the file cannot be written; an older one of this name is untouched.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            torch.save(to_plain({"format": FORMAT, **state}), file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # temporary files are for their owner alone
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be written: {error}") from error
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def load(path: str | os.PathLike, device: torch.device | str = "cpu") -> dict:
    """Read a checkpoint with the safe loader, which runs no code.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint of this plugin.
    """
    if not os.path.isfile(path):
        raise CheckpointError(f"checkpoint {path} does not exist")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises a dozen kinds for damaged and for unsafe files
        raise CheckpointError(
            f"checkpoint {path} cannot be read: it is truncated, damaged, or not written by recbole_sigma "
            f"({type(error).__name__})"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT or not state.keys() >= KEYS:
        raise CheckpointError(f"{path} is not a checkpoint of this version of recbole_sigma (format {FORMAT})")
    return {**state, "other_parameter": from_plain(state["other_parameter"])}


def catalog(dataset) -> dict:
    """What a model was trained for: numbers of users and items, padding not counted, and a digest of their tokens."""
    digest = hashlib.sha256()
    for field in (dataset.uid_field, dataset.iid_field):
        digest.update("\n".join(map(str, dataset.field2id_token[field])).encode())
    return {"users": dataset.user_num - 1, "items": dataset.item_num - 1, "digest": digest.hexdigest()}


def restore(
    model: torch.nn.Module,
    state: dict,
    path: str,
    model_name: str,
    expected_catalog: dict | None = None,
    settings: dict | None = None,
) -> None:
    """Put the parameters of a checkpoint into a model.

    Args:
        settings: those of the model, which have to be those of the checkpoint; two that differ may fit by shape.

    Raises:
        CheckpointError: the checkpoint is of another model, of other settings, or of another catalog.
    """
    if state["model"] != model_name:
        raise CheckpointError(f"checkpoint {path} is of the model {state['model']}; expected {model_name}")
    if None not in (expected_catalog, state["catalog"]) and state["catalog"] != expected_catalog:
        found = "{users} users and {items} items".format(**state["catalog"])
        wanted = "{users} users and {items} items".format(**expected_catalog)
        if found == wanted:
            wanted = "others of the same number"
        raise CheckpointError(
            f"checkpoint {path} was trained on another catalog: {found}; this data set has {wanted}. Use the data set, "
            "filters and files that it was trained with"
        )
    differing = [
        f"{key} = {state['config'][key]!r} (here {value!r})"
        for key, value in (settings or {}).items()
        if key in state["config"] and state["config"][key] != value
    ]
    if differing:
        raise CheckpointError(
            f"checkpoint {path} was trained with other settings of {model_name}: {', '.join(differing)}. Give its own"
        )
    try:
        model.load_state_dict(state["state_dict"])
    except RuntimeError as error:
        raise CheckpointError(
            f"checkpoint {path} was trained with other settings of {model_name}: {error}\n"
            "Its own stand under 'config' in it"
        ) from error
    model.load_other_parameter(state["other_parameter"])


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def to_plain(value):
    """Tensors, numbers, text and containers as they are; arrays and sparse matrices as dictionaries of tensors."""
    if isinstance(value, np.generic):  # before float: a numpy.float64 is one
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"__kind__": "ndarray", "data": torch.from_numpy(np.ascontiguousarray(value))}
    if sparse.issparse(value):
        csr = value.tocsr()
        parts = {name: torch.from_numpy(getattr(csr, name)) for name in ("data", "indices", "indptr")}
        array = isinstance(value, sparse.sparray)
        return {"__kind__": "sparse", "format": value.format, "array": array, "shape": list(value.shape), **parts}
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(to_plain, value))
    raise CheckpointError(f"a value of the type {type(value).__name__} cannot be saved as plain data")


def from_plain(value):
    """Inverse of ``to_plain``."""
    if isinstance(value, dict):
        if value.get("__kind__") == "ndarray":
            return value["data"].numpy()
        if value.get("__kind__") == "sparse":
            matrix = sparse.csr_array if value["array"] else sparse.csr_matrix
            parts = tuple(value[name].numpy() for name in ("data", "indices", "indptr"))
            return matrix(parts, shape=tuple(value["shape"])).asformat(value["format"])
        return {key: from_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(from_plain, value))
    return value
