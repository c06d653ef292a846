"""All interactions of a user together, in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

FAN_OUT = 64
"""Number of files that too many interactions are divided into; each is divided again if it still has too many."""
LEVELS = 8
"""Number of successive divisions that a hash of 64 bits allows; what is too large after them is a single user."""


class Interactions(NamedTuple):
    """``N`` interactions."""

    user: np.ndarray  # [N], tokens
    item: np.ndarray  # [N], ids, 0 for unknown items
    time: np.ndarray  # [N], seconds, or the numbers of the rows


def whole_users(blocks: Iterator[Interactions], most: int, level: int = 0) -> Iterator[Interactions]:
    """Divide interactions, which come in any order, into parts with all interactions of their users, in that order.

    More than ``most`` interactions are divided by user into temporary files, which need as much disk space as the
    users, items and times. A part has more than ``most`` interactions only if a single user has.
    """
    held, num_held = [], 0
    for block in blocks:
        held.append(block)
        num_held += len(block.user)
        if num_held > most and level < LEVELS:
            break
    else:
        if num_held:
            yield _joined(held)
        return
    with tempfile.TemporaryDirectory(prefix="recbole-sigma-") as folder:
        parts = [Path(folder, f"{number:02d}") for number in range(FAN_OUT)]
        while held:
            _divide(held.pop(0), parts, level)
        for block in blocks:
            _divide(block, parts, level)
        for part in parts:
            if part.exists():
                yield from whole_users(_read(part), most, level + 1)
                part.unlink()


def _joined(blocks: list[Interactions]) -> Interactions:
    return Interactions(*map(np.concatenate, zip(*blocks)))


def _divide(block: Interactions, parts: list[Path], level: int) -> None:
    number = pd.util.hash_array(block.user, categorize=False) // FAN_OUT**level % FAN_OUT
    order = number.argsort(kind="stable")
    ends = np.bincount(number.astype(np.int64), minlength=FAN_OUT).cumsum()
    for part, rows in zip(parts, np.split(order, ends[:-1])):
        if len(rows):
            with part.open("ab") as file:
                users = block.user[rows]
                text = "".join(users).encode("utf-8", "surrogatepass")
                lengths = np.fromiter(map(len, users), dtype=np.int64, count=len(users))
                for part_of_block in (np.frombuffer(text, np.uint8), lengths, block.item[rows], block.time[rows]):
                    np.save(file, part_of_block)


def _read(part: Path) -> Iterator[Interactions]:
    size = part.stat().st_size
    with part.open("rb") as file:
        while file.tell() < size:
            text, lengths, item, time = (np.load(file) for _ in range(4))
            text, ends = text.tobytes().decode("utf-8", "surrogatepass"), lengths.cumsum()
            users = [text[start:end] for start, end in zip(ends - lengths, ends)]
            yield Interactions(np.array(users, dtype=object), item, time)
