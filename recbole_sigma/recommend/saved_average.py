"""One model, or the average of several, from what ``load`` is given: a checkpoint, a folder, a list, or several files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recbole_sigma.errors import CheckpointError, RequestError
from recbole_sigma.model.average import AVERAGES, FIELDS, average_of
from recbole_sigma.recommend.members import is_list, read_members
from recbole_sigma.recommend.saved_model import SavedModel, Settings, build_model, newest_checkpoint, pick_device
from recbole_sigma.training import checkpoint
from recbole_sigma.wording import listed


def load_one_or_average(
    source: str | os.PathLike | Sequence[str | os.PathLike],
    device: str = "auto",
    model_class: type | None = None,
    average: str | None = None,
) -> SavedModel:
    """Build the model of a checkpoint, or the average of several; arguments as for ``recbole_sigma.load``.

    Raises:
        CheckpointError: a file is missing, damaged, or of a model that is not sequential; or the members of an average
            know different catalogs.
        RequestError: there is no such device or average, no checkpoint is given, or one is given twice.
    """
    if average is not None and average not in AVERAGES:
        raise RequestError(f"average is {average!r}; expected one of {', '.join(AVERAGES)}")
    if isinstance(source, (str, os.PathLike)):
        source = [source]
    place, paths = pick_device(device), [newest_checkpoint(path) for path in source]
    if not paths:
        raise RequestError("no checkpoint is given; expected at least one")
    if len(paths) > 1:
        _require_different_checkpoints(paths)
        members, first = [_member(path, place, model_class) for path in paths], Path(paths[0])
        name = first.with_name(f"{first.stem}-and-{len(paths) - 1}-more{first.suffix}")
        return average_of_saved(members, average or "logits", str(name))
    (path,) = paths
    if is_list(path):
        known = read_members(path)
        members = [_member(member, place, model_class) for member in known.checkpoints]
        about = known.about if average in (None, known.average) else {}
        return average_of_saved(members, average or known.average, path, about)
    if average is not None:
        raise RequestError(f"average is {average!r} for one checkpoint, {path}; expected several, or no average")
    return build_model(checkpoint.load(path), path, place, model_class)


def _require_different_checkpoints(paths: Sequence[str]) -> None:
    for number, path in enumerate(paths):
        if is_list(path):
            raise RequestError(f"{path} is a list of members beside other checkpoints; expected checkpoints alone")
        if os.path.realpath(path) in map(os.path.realpath, paths[:number]):
            raise RequestError(f"checkpoint {path} is given twice; expected different ones")


def _member(path: str, place: torch.device, model_class: type | None) -> SavedModel:
    return build_member(checkpoint.load(path), path, place, model_class)


def build_member(state: dict, path: str, place: torch.device, model_class: type | None) -> SavedModel:
    """Build a member of an average; as ``build_model``, but the class is for the models of its name alone."""
    is_own = model_class is not None and model_class.__name__ == state["model"]
    return build_model(state, path, place, model_class if is_own else None)


def average_of_saved(
    members: Sequence[SavedModel], average: str, path: str, about: Mapping[str, Any] | None = None
) -> SavedModel:
    """The average of models, as one that was saved.

    Args:
        members: at least two. Settings, metadata and data set are those of the first one, or of the first one that reads
            times, with the longest histories and the smallest batches of all.
        average: "logits" or "probabilities".
        path: what the average is called.
        about: more entries of its state, such as ``test_result``.

    Raises:
        CheckpointError: the members know different catalogs.
    """
    for other in members[1:]:
        _require_same_catalog(members[0], other)
    first = next((member for member in members if getattr(member.model, "reads_times", False)), members[0])
    changed = {
        "MAX_ITEM_LIST_LENGTH": max(member.settings["MAX_ITEM_LIST_LENGTH"] for member in members),
        "eval_batch_size": min(member.settings["eval_batch_size"] for member in members),
    }
    settings = Settings({**first.settings, **changed})
    settings.model_class = first.settings.model_class
    first.dataset.counts_users = any(member.dataset.counts_users for member in members)
    state = {
        "model": name_of([member.state["model"] for member in members]),
        "config": {**first.state["config"], **changed},
        "metadata": first.state["metadata"],
        "average": average,
        "members": [member.state for member in members],
        **(about or {}),
    }
    with torch.no_grad():
        model = average_of([member.model for member in members], average)
    return SavedModel(model, settings, first.dataset, state, path, tuple(members))


def name_of(models: Sequence[str]) -> str:
    """What an average of models of these names is called."""
    return f"average of {len(models)} {models[0]}" if len(set(models)) == 1 else f"average of {listed(models)}"


def _require_same_catalog(first: SavedModel, other: SavedModel) -> None:
    expected = "expected models of one data set, with the same files, columns and filters"
    for name in FIELDS:
        own, others = (getattr(saved.model, name, None) for saved in (first, other))
        if None not in (own, others) and own != others:
            raise CheckpointError(
                f"checkpoint {other.path} calls {name} {others!r}, and {first.path} calls it {own!r}; {expected}"
            )
    for what, field in (("items", first.dataset.iid_field), ("users", first.dataset.uid_field)):
        own, others = (saved.dataset.field2id_token[field] for saved in (first, other))
        if len(own) != len(others):
            raise CheckpointError(
                f"checkpoint {other.path} knows {len(others) - 1:,} {what}, and {first.path} {len(own) - 1:,}; {expected}"
            )
        if not np.array_equal(own, others):
            place = int(np.flatnonzero(own != others)[0])
            raise CheckpointError(
                f"checkpoint {other.path} knows other {what} than {first.path}, or in another order: number {place} is "
                f"{others[place]!r} and {own[place]!r}; {expected}"
            )
