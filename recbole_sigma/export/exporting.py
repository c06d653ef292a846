"""From a checkpoint to a folder with the model, its items and a README."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
        folder: contains ``files``.
        files: names, the model first.
        difference: largest difference between the program and the model, relative to the largest value; 0 for
            safetensors, which contain the weights themselves.
    """

    folder: Path
    files: list[str]
    difference: float


def export_checkpoint(
    checkpoint: str | os.PathLike | Sequence[str | os.PathLike],
    format: str,
    folder: str | os.PathLike | None = None,
    *,
    scores: bool = False,
    overwrite: bool = False,
    model_class: type | None = None,
    average: str | None = None,
) -> Export:
    """Write the sequential model of a checkpoint, and its items, as files that can be used without this package.

    The average of several checkpoints becomes one model: each user vector is those of its members, one behind the other.

    A program (onnx, torch) is compared with the model on random histories before it appears in the folder.

    Args:
        checkpoint: as for ``recbole_sigma.load``.
        format: "onnx" for an ONNX graph, "torch" for a program of ``torch.export``, "safetensors" for the weights,
            settings and catalog, from which ``load_weights`` makes a ``Recommender``.
        folder: by default ``<checkpoint without its extension>-<format>``; for several checkpoints
            ``<the first one>-and-<number>-more-<format>``.
        scores: give scores of all items ``[B, V]`` instead of user vectors ``[B, K, E]``; models without user vectors
            always give scores.
        overwrite: replace files in a folder that is not empty, and remove the other files of an earlier export.
        model_class, average: as for ``recbole_sigma.load``.

    Returns:
        The files, and the largest difference between the program and the model.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, or of a model that is not sequential.
        MissingExtraError: a package that the format needs is not installed.
        RequestError: the format is unknown, the folder is not empty, or the model cannot be exported in this format;
            an average only if its scores are products of vectors of users and items.
    """
    if format not in FORMATS:
        raise RequestError(f"format is {format!r}; expected one of {', '.join(FORMATS)}")
    if scores and format == "safetensors":
        raise RequestError("safetensors contain weights and no program; expected format onnx or torch for scores")
    recommender = load(checkpoint, "cpu", model_class, average)
    _require_vectors(recommender, format)
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
    """The files of an export that is already in the folder, which its README names."""
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
    except Exception as error:  # tracing raises dozens of types, whose messages name what it cannot follow
        raise RequestError(
            f"{model} cannot be exported as {format}: {_reason(error)}. --format safetensors writes its weights"
        ) from error


def _require_vectors(recommender: Recommender, format: str) -> None:
    """Programs rank by products of vectors, and so does an average; the weights of a single model are just written."""
    reason = getattr(recommender.model, "no_vectors", None)
    if reason is None or (format == "safetensors" and not recommender.members):
        return
    hint = "" if recommender.members else ". --format safetensors writes its weights"
    raise RequestError(f"{recommender.state['model']} cannot be exported as {format}: {reason}{hint}")


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
    """The type and the first line of the error that caused all others."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}".rstrip(" .:")
