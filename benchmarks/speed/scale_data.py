"""A program that writes synthetic interactions as an atomic file, and prints what it wrote as JSON.

Its only argument is JSON, with the arguments of ``write``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

INTERACTIONS_PER_USER, INTERACTIONS_PER_ITEM = 145, 740
"""As in MovieLens-20M, which has 138,000 users and 27,000 items."""
BLOCK = 1_000_000
FIRST_TIME, LAST_TIME = 789_652_009, 1_427_784_002
HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"
WIDTHS = (8, 7, 10)
"""Digits of a user, an item and a time."""


def write(folder: str, name: str, size: int, seed: int) -> dict:
    """Write ``folder/name/name.inter`` with ``size`` rows in random order.

    The number of rows of a user follows a Lomax distribution, and that of an item falls with the square of its rank. So
    few users and items have most of the rows, and some have fewer than five.
    """
    generator = np.random.default_rng(seed)
    num_users, num_items = max(2, size // INTERACTIONS_PER_USER), max(2, size // INTERACTIONS_PER_ITEM)
    of_users = np.cumsum(generator.pareto(2, num_users))
    of_items = np.cumsum((np.arange(num_items) + num_items / 135) ** -2.0)
    path = Path(folder, name, f"{name}.inter")
    path.parent.mkdir()
    with open(path, "wb") as file:
        file.write(HEADER.encode())
        for start in range(0, size, BLOCK):
            count = min(BLOCK, size - start)
            users = np.searchsorted(of_users, of_users[-1] * generator.random(count))
            items = np.searchsorted(of_items, of_items[-1] * generator.random(count))
            times = generator.integers(FIRST_TIME, LAST_TIME, count)
            file.write(_lines(users, items, times))
    return {"bytes": path.stat().st_size, "users": num_users, "items": num_items}


def _lines(*columns: np.ndarray) -> bytes:
    """Rows of numbers with leading zeros, all of the same length.

    pandas' ``to_csv`` takes as long but writes no leading zeros; loading its smaller file takes less time and memory.
    """
    parts = []
    for column, width in zip(columns, WIDTHS):
        digits = column[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10 + ord("0")
        parts += [digits.astype(np.uint8), np.full((len(column), 1), ord("\t"), dtype=np.uint8)]
    parts[-1][:] = ord("\n")
    return np.hstack(parts).tobytes()


if __name__ == "__main__":
    print(json.dumps(write(**json.loads(sys.argv[1]))))
