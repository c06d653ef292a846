"""The best items of the catalog for each user, without holding the scores of all items."""

from __future__ import annotations

import math
from itertools import repeat
from typing import Iterator, NamedTuple

import torch
from torch import Tensor

from recbole_sigma import precision

CHUNK = 32
"""Size of the chunks of neighbouring items in the first selection, which looks at the best item of each chunk."""
PART = 4
"""The same for the second selection, among the items of the selected chunks."""
TILE_ITEMS = 2**14
"""Minimum number of items per tile: the best items are selected once per tile, so narrow tiles take longer."""
TILE_SCORES = 2**23
"""Scores of a tile on a CPU, 34 MB."""
TILE_SCORES_OF_GPU = 2**26
"""Scores of a tile on other devices, where few large steps should be faster (not measured)."""


class Ranked(NamedTuple):
    """Scores of some items of each row, and the items, both ``[B, n]``."""

    scores: Tensor
    items: Tensor

    def merge(self, candidates: Ranked, k: int) -> Ranked:
        scores, items = (torch.cat(both, 1) for both in zip(self, candidates))
        scores, place = scores.topk(min(k, scores.shape[1]))
        return Ranked(scores, items.gather(1, place))

    def without_unranked(self) -> Ranked:
        """Item 0, an empty place, where the score is -inf: what cannot be recommended is in no list.

        All excluded items have this score. An item to which the model itself gives -inf is not recommended either, so
        the score decides. NaN is a fault of the model and not an empty place.
        """
        return Ranked(self.scores, self.items.masked_fill(self.scores == -math.inf, 0))


class RankedItems(NamedTuple):
    """The first ``max(topk)`` items of each row, best first, in place of scores ``[B, V]``.

    Where fewer items can be recommended, the places at the end have item 0, which is never a hit.
    """

    items: Tensor  # [B, k]


@torch.no_grad()
def top_items(
    users: Tensor, items: Tensor, k: int, excluded: tuple[Tensor, Tensor] | None = None, tile: int | None = None
) -> Ranked:
    """The k items with the highest scores; the score of an item is its largest product with a vector of the user.

    Products run in float32 or wider, in tiles of users and items: memory is O(B k) plus one tile, or two for K > 1.
    Item 0 is the padding; it and the excluded items have the score -inf and come last if there are too few other items.
    As in ``torch.topk``, equal scores come in no particular order, and NaN is larger than all numbers.

    Args:
        users: ``[B, K, D]``.
        items: ``[V, D]``.
        k: at most V.
        excluded: rows and items of the pairs to leave out, both ``[P]``. Pairs on the CPU need no synchronisation with
            another device.
        tile: number of items scored at once, rounded down to a multiple of 32; by default chosen for the device.

    Returns:
        Scores and items of each user, ``[B, k]``, best first.

    Raises:
        ValueError: arguments that do not fit together.
    """
    _check(users, items, k, excluded, tile)
    dtype = torch.promote_types(torch.promote_types(users.dtype, items.dtype), torch.float32)
    grid = _grid(users, items, tile)
    excluded_by_tile = repeat(None) if excluded is None else _by_tile(excluded, grid)
    result = Ranked(
        torch.empty(len(users), k, dtype=dtype, device=users.device),
        torch.empty(len(users), k, dtype=torch.int64, device=users.device),
    )
    with precision.no_autocast(users):
        items = items.to(dtype)
        for rows in grid.rows:
            part = users[rows].to(dtype).transpose(0, 1)  # [K, b, D]
            best = Ranked(part.new_empty(part.shape[1], 0), result.items.new_empty(part.shape[1], 0))
            for columns in grid.columns:
                best = best.merge(_best_of_tile(part, items, columns, next(excluded_by_tile), k), k)
            result.scores[rows], result.items[rows] = best
    return result


class _Grid(NamedTuple):
    rows: list[slice]
    columns: list[slice]


def _grid(users: Tensor, items: Tensor, tile: int | None) -> _Grid:
    """Tiles whose widths are multiples of ``CHUNK``, except for the first tile, which is at most one chunk wide.

    Then all chunks are full, and matrix products take a third less time than with an odd number of columns.
    """
    num_scores = TILE_SCORES if users.device.type == "cpu" else TILE_SCORES_OF_GPU
    width = tile or max(TILE_ITEMS, num_scores // max(1, len(users)))
    height = max(1, num_scores // min(width, len(items)))
    first = (len(items) - 1) % CHUNK + 1
    columns = [slice(0, first), *_slices(first, len(items), width // CHUNK * CHUNK)]
    return _Grid(_slices(0, len(users), height), columns)


def _slices(start: int, stop: int, step: int) -> list[slice]:
    return [slice(begin, min(begin + step, stop)) for begin in range(start, stop, step)]


def _by_tile(excluded: tuple[Tensor, Tensor], grid: _Grid) -> Iterator[tuple[Tensor, Tensor]]:
    """The pairs of each tile in turn, rows of tiles one after the other, as an index into the scores of the tile."""
    starts = [torch.tensor([s.start for s in slices], device=excluded[0].device) for slices in grid]
    place = [torch.searchsorted(start, index, right=True) - 1 for start, index in zip(starts, excluded)]
    tile = place[0] * len(grid.columns) + place[1]
    order = tile.argsort()
    sizes = torch.bincount(tile, minlength=len(grid.rows) * len(grid.columns)).tolist()
    local = ((index - start[at])[order] for start, index, at in zip(starts, excluded, place))
    return zip(*(index.split(sizes) for index in local))


def _best_of_tile(
    users: Tensor, items: Tensor, columns: slice, excluded: tuple[Tensor, Tensor] | None, k: int
) -> Ranked:
    """Candidates among these items ``[V, D]`` for users ``[K, b, D]``."""
    tile = items[columns].T
    scores = users[0] @ tile
    for vectors in users[1:]:
        torch.maximum(scores, vectors @ tile, out=scores)
    if columns.start == 0:
        scores[:, 0] = -math.inf
    if excluded is not None:
        scores[excluded] = -math.inf
    return _candidates(scores, columns.start, k)


def _candidates(scores: Tensor, first_item: int, k: int) -> Ranked:
    """Items ``[b, n]`` of a tile among which are the k best of each row; n is at most 4 k if the width of the tile is
    a multiple of ``CHUNK``.

    The k best lie in the k chunks with the highest maxima: an item of another chunk is not better than any of these
    maxima, which are k items. On a CPU that takes half the time of ``torch.topk`` on all scores.
    """
    size = scores.shape[1]
    start = torch.full((len(scores), 1), first_item, device=scores.device)  # first items of the chunks
    for smaller in (CHUNK, PART):
        if scores.shape[1] > k * smaller and scores.shape[1] % smaller == 0:
            scores, best = _best_chunks(scores, k, smaller)
            start = start.gather(1, best // size) + best % size
            size = smaller
    return Ranked(scores, (start.unsqueeze(2) + torch.arange(size, device=scores.device)).flatten(1))


def _best_chunks(scores: Tensor, k: int, size: int) -> tuple[Tensor, Tensor]:
    """Scores ``[b, k size]`` of the k chunks of a row with the highest maxima, and their first columns ``[b, k]``."""
    num_rows, width = scores.shape
    best = scores.view(num_rows, -1, size).amax(2).topk(k, sorted=False).indices
    of_all_rows = best + torch.arange(0, num_rows * width // size, width // size, device=best.device).unsqueeze(1)
    kept = scores.view(-1, size).index_select(0, of_all_rows.flatten())
    return kept.view(num_rows, -1), best * size


def _check(users: Tensor, items: Tensor, k: int, excluded: tuple[Tensor, Tensor] | None, tile: int | None) -> None:
    shapes = f"users {list(users.shape)}, items {list(items.shape)}"
    if users.dim() != 3 or items.dim() != 2 or users.shape[2] != items.shape[1]:
        raise ValueError(f"{shapes}; expected users [B, K, D] and items [V, D]")
    if not users.shape[1] or not len(items):
        raise ValueError(f"{shapes}; expected at least one vector of a user and one item")
    if not 1 <= k <= len(items):
        raise ValueError(f"k is {k}; expected 1 to {len(items)}, the number of items")
    if tile is not None and tile < CHUNK:
        raise ValueError(f"tile is {tile}; expected at least {CHUNK}")
    if excluded is None:
        return
    if excluded[0].dim() != 1 or excluded[0].shape != excluded[1].shape:
        raise ValueError(
            f"excluded has rows {list(excluded[0].shape)} and items {list(excluded[1].shape)}; expected [P] twice"
        )
    for name, index, size in zip(("rows", "items"), excluded, (len(users), len(items))):
        if len(index) and not 0 <= index.min() <= index.max() < size:
            raise ValueError(f"excluded {name} are from {index.min()} to {index.max()}; expected 0 to {size - 1}")
