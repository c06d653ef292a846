"""From a checkpoint to a folder that holds the model, its items and how to use them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from recbole_sigma.errors import RecBoleSigmaError, RequestError
from recbole_sigma.export import items, names, programs, readme
from recbole_sigma.export.encoder import Encoder
from recbole_sigma.export.names import FORMATS
from recbole_sigma.export.weights import write_weights
from recbole_sigma.safe_write import replace_folder
from recbole_sigma.recommend import Recommender, load

PROGRAMS = {"onnx": programs.write_onnx, "torch": programs.write_torch}


class Export(NamedTuple):
    """What was written.

    Attributes:
        folder: with ``files``, which begin with the model.
        difference: largest one between the file and the model, as a part of the largest value; 0 for safetensors, which
            hold the weights themselves.
    """

    folder: Path
    files: list[str]
    difference: float


def export_checkpoint(
    checkpoint: str | os.PathLike,
    format: str,
    folder: str | os.PathLike | None = None,
    *,
    scores: bool = False,
    overwrite: bool = False,
    model_class: type | None = None,
) -> Export:
    """Write the sequential model of a checkpoint as a file that runs elsewhere, and its items beside it.

    A program (onnx, torch) is compared with the model on random histories before anything is left behind.

    Args:
        checkpoint: of a run of the plugin, or a folder, whose newest one is taken.
        format: "onnx" for an ONNX graph, "torch" for a program of ``torch.export``, "safetensors" for the weights,
            settings and catalog, from which ``load_weights`` makes a ``Recommender``.
        folder: by default ``<checkpoint without its ending>-<format>``.
        scores: give scores of all items ``[B, V]`` in place of user vectors ``[B, K, D]``; models without user vectors
            give scores always.
        overwrite: replace files in a folder that is not empty, and remove the others of an earlier export.
        model_class: of a model that is neither the plugin's nor RecBole's.

    Returns:
        What was written, and how far it is from the model.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, or of a model that is not sequential.
        MissingExtraError: a package is missing that the format needs.
        RequestError: the format is not known, the folder is not empty, or the model cannot be exported so.
    """
    if format not in FORMATS:
        raise RequestError(f"format is {format!r}; expected one of {', '.join(FORMATS)}")
    if scores and format == "safetensors":
        raise RequestError("safetensors hold weights, not what they compute; expected format onnx or torch for scores")
    recommender = load(checkpoint, "cpu", model_class)
    source = Path(recommender.path)
    folder = source.with_name(f"{source.stem}-{format}") if folder is None else Path(folder)
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file; expected a folder to write to")
    if not overwrite and folder.exists() and any(folder.iterdir()):
        raise RequestError(f"{folder} is not empty; expected a new folder, or --overwrite to replace files in it")
    with replace_folder(folder, obsolete=_earlier(folder)) as temporary:
        if format == "safetensors":
            write_weights(recommender.state, temporary)
            text, difference = readme.of_weights(recommender, own_class=model_class is not None), 0.0
        else:
            encoder = Encoder(recommender.model, scores)
            difference = _write_program(recommender, encoder, format, temporary)
            text = readme.of_program(recommender, encoder, format, difference, os.listdir(temporary))
            if encoder.any_length:
                items.write_vectors(recommender.model, temporary)
        items.write_names(recommender.catalog, temporary)
        (temporary / names.README).write_text(text, encoding="utf-8")
        files = sorted((path.name for path in temporary.iterdir()), key=lambda name: (name[:5] != "model", name))
    return Export(folder, files, difference)


def _earlier(folder: Path) -> list[str]:
    """Files of an export that lies in a folder: those that its README names."""
    try:
        text = (folder / names.README).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return []
    return [name for name in names.ALL if readme.WRITTEN_BY in text and f"`{name}`" in text]


def _write_program(recommender: Recommender, encoder: Encoder, format: str, folder: Path) -> float:
    model = recommender.state["model"]
    _require_histories_alone(encoder, f"{model} cannot be exported as {format}")
    try:
        return programs.difference(encoder, PROGRAMS[format](encoder, folder / names.MODEL[format]))
    except (RecBoleSigmaError, OSError, KeyboardInterrupt):
        raise
    except Exception as error:  # tracing ends in dozens of kinds, which name what in the model it cannot follow
        raise RequestError(
            f"{model} cannot be exported as {format}: {_reason(error)}. --format safetensors writes its weights"
        ) from error


def _require_histories_alone(encoder: Encoder, problem: str) -> None:
    hint = "expected a model that scores all items from the history alone. --format safetensors writes its weights"
    for field in ("times", "users"):
        if getattr(encoder.model, f"reads_{field}", False):
            raise RequestError(f"{problem}: it reads {field} beside the history; {hint}")
    try:
        encoder.expected(next(encoder.histories()))
    except KeyError as error:  # of RecBole's Interaction
        raise RequestError(f"{problem}: it asks for {error} beside the history; {hint}") from error
    except NotImplementedError as error:
        raise RequestError(f"{problem}: it scores one item at a time; {hint}") from error


def _reason(error: BaseException) -> str:
    """The first line of what went wrong at first."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}".rstrip(" .:")
