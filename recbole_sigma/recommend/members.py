"""A small file that lists the checkpoints of an average, by paths relative to its folder and by their digests."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from recbole_sigma.errors import CheckpointError
from recbole_sigma.model.average import AVERAGES
from recbole_sigma.safe_write import replace_file
from recbole_sigma.version import __version__

MEMBERS = ".members.json"
"""End of the name of such a file."""
FORMAT = 1


class MemberList(NamedTuple):
    """What a list says.

    Attributes:
        checkpoints: paths of the members.
        average: "logits" or "probabilities".
        about: what else is known of this average: ``valid_result`` and ``test_result``.
    """

    checkpoints: list[str]
    average: str
    about: Mapping[str, Any]


def is_list(path: str | os.PathLike) -> bool:
    """Whether a path names a list of members and not a checkpoint."""
    return os.fspath(path).endswith(".json")


def write_members(
    path: str | os.PathLike,
    checkpoints: Sequence[str | os.PathLike],
    average: str,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write the list of the members of an average, which ``recbole_sigma.load`` takes.

    Args:
        path: of the file; its name should end in ``.members.json``.
        checkpoints: the members, which the list must be moved together with.
        average: "logits" or "probabilities".
        about: more entries, as plain data.
    """
    folder = os.path.dirname(os.path.abspath(path))
    content = {
        "format": FORMAT,
        "versions": {"recbole_sigma": __version__, "torch": str(torch.__version__)},
        "average": average,
        "members": [
            {"checkpoint": Path(os.path.relpath(member, folder)).as_posix(), "sha256": digest(member)}
            for member in checkpoints
        ],
        **(about or {}),
    }
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_members(path: str | os.PathLike) -> MemberList:
    """Read a list and compare the digests of its members.

    Raises:
        CheckpointError: the list, or a member, is missing, damaged, or not as it was when the list was written.
    """
    expected = "expected the list of the members of an average, which recbole-sigma --seeds=... writes"
    if not os.path.isfile(path):
        raise CheckpointError(f"list of members {path} does not exist")
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"list of members {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged, or no JSON in UTF-8 ({error}); {expected}") from error
    if not _well_formed(content):
        raise CheckpointError(f"{path} is no list of members of this version of recbole_sigma; {expected}")
    checkpoints = []
    for member in content["members"]:
        checkpoint = os.path.join(os.path.dirname(path), member["checkpoint"])
        if not os.path.isfile(checkpoint):
            raise CheckpointError(
                f"checkpoint {checkpoint} does not exist, a member of the average {path}; expected it beside the list, "
                "as when the list was written: move them together"
            )
        if digest(checkpoint) != member["sha256"]:
            raise CheckpointError(
                f"checkpoint {checkpoint} has changed since the list {path} was written; expected the file that was "
                "averaged. To average what is there now, give the checkpoints themselves in place of the list"
            )
        checkpoints.append(checkpoint)
    about = {name: content[name] for name in ("valid_result", "test_result") if isinstance(content.get(name), dict)}
    return MemberList(checkpoints, content["average"], about)


def _well_formed(content) -> bool:
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("average") not in AVERAGES:
        return False
    members = content.get("members")
    return (
        isinstance(members, list)
        and len(members) > 1
        and all(isinstance(member, dict) for member in members)
        and all(isinstance(member.get(key), str) for member in members for key in ("checkpoint", "sha256"))
    )


def digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(2**20), b""):
            sha.update(block)
    return sha.hexdigest()
