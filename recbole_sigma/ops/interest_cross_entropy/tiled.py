"""Tiles of rows and items in plain PyTorch, on any device, in O(N K D + V D) memory."""

from __future__ import annotations

import math
from typing import Iterator, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recbole_sigma.ops.interest_cross_entropy.advantage import loss_and_share, own_gradient

TILE_ITEMS = 1024
"""Least number of items of a tile."""
TILE_SCORES = 2**19
"""Scores of a tile on a CPU: with what is made of them they fit the caches of two cores."""
TILE_SCORES_OF_GPU = 2**24
"""Scores of a tile on other devices, where many small steps would take longer than their arithmetic (not measured)."""
HELD_SCORES = 2**23
"""Scores that forward may hold at a time, in order to make gradients from them."""
HELD_ROWS = (32, 256)
"""Rows held at a time, if there are so many: for fewer, computing their scores twice is faster; more save nothing."""


def loss_against_others(
    interests: Tensor,
    items: Tensor,
    own: Tensor,
    excluded: Tensor,
    log_weight: Tensor | None,
    scale: float,
    reduce: str,
) -> Tensor:
    """As ``naive.loss_against_others``."""
    return _LossAgainstOthers.apply(interests, items, own, excluded, log_weight, scale, reduce, torch.is_grad_enabled())


class _Tile(NamedTuple):
    rows: slice
    columns: slice
    scores: Tensor  # [n, K, v]
    reduced: Tensor  # [n, 1, v], the maximum over K, or all scores where the sum runs over K too


class _Gradients(NamedTuple):
    interests: Tensor | None
    items: Tensor | None


class _Catalog(NamedTuple):
    """The arguments of ``loss_against_others``, and what is computed tile by tile."""

    interests: Tensor
    items: Tensor
    excluded: Tensor
    log_weight: Tensor | None
    scale: float
    reduce: str

    @property
    def tile_scores(self) -> int:
        return TILE_SCORES if self.items.device.type == "cpu" else TILE_SCORES_OF_GPU

    @property
    def tile_rows(self) -> int:
        return max(1, self.tile_scores // (self.interests.shape[1] * TILE_ITEMS))

    @property
    def tile_items(self) -> int:
        """More than ``TILE_ITEMS`` where there are fewer rows than a tile may have."""
        return max(TILE_ITEMS, self.tile_scores // (len(self.interests) * self.interests.shape[1]))

    def tiles(self, rows: slice) -> Iterator[_Tile]:
        interests = self.interests[rows]
        for columns in _slices(len(self.items), self.tile_items):
            scores = (interests.flatten(0, 1) @ self.items[columns].T).view(*interests.shape[:2], -1)
            yield _Tile(rows, columns, scores, scores.amax(1, keepdim=True) if self.reduce == "max" else scores)

    def logits(self, tile: _Tile, dtype: torch.dtype) -> Tensor:
        """Exponents of the sum, shaped as ``tile.reduced`` and new in memory."""
        logits = tile.reduced.to(dtype) * self.scale
        if self.log_weight is not None:
            logits += self.log_weight[tile.columns]
        column = (self.excluded[tile.rows] - tile.columns.start).view(-1, 1, 1).expand(-1, logits.shape[1], 1)
        inside = (column >= 0) & (column < logits.shape[2])
        column = column.clamp(0, logits.shape[2] - 1)
        return logits.scatter_(2, column, logits.gather(2, column).masked_fill_(inside, -math.inf))

    def add_gradients(self, gradients: _Gradients, tile: _Tile, highest: Tensor, weight: Tensor) -> None:
        """Add those whose slope in a logit is ``weight exp(logit - highest)``, in the memory of ``tile.scores``.

        Args:
            highest, weight: ``[n]``.
        """
        slope = self.logits(tile, highest.dtype).sub_(highest.view(-1, 1, 1)).exp_()
        slope *= (weight * self.scale).view(-1, 1, 1)
        slope = _share_among_best(slope, tile).flatten(0, 1)  # [n K, v]
        if gradients.interests is not None:
            of_rows = gradients.interests[tile.rows]
            of_rows += (slope @ self.items[tile.columns]).view_as(of_rows)
        if gradients.items is not None:
            gradients.items[tile.columns] += slope.T @ self.interests[tile.rows].flatten(0, 1)

    def zero_gradients(self, of_interests: bool, of_items: bool, dtype: torch.dtype) -> _Gradients:
        return _Gradients(
            torch.zeros_like(self.interests, dtype=dtype) if of_interests else None,
            torch.zeros_like(self.items, dtype=dtype) if of_items else None,
        )


class _LossAgainstOthers(torch.autograd.Function):
    """Forward makes the gradients of the sum of losses where it can hold the scores; else backward makes them.

    Backward scales what forward made: row by row for the interests, and for the items if all losses have the same
    gradient, as after ``sum`` or ``mean``. If they differ, it makes those of the items anew.
    """

    @staticmethod
    def forward(ctx, interests, items, own, excluded, log_weight, scale, reduce, grad_enabled):
        catalog = _Catalog(interests, items, excluded, log_weight, scale, reduce)
        least_rows, most_rows = HELD_ROWS
        num_rows = min(HELD_SCORES // (interests.shape[1] * len(items)), most_rows)
        needed = ctx.needs_input_grad[:2]
        held = grad_enabled and any(needed) and num_rows >= min(least_rows, len(own))
        held = held and interests.dtype != torch.float16  # where loss scaling must come before small gradients
        made = catalog.zero_gradients(*needed, own.dtype) if held else _Gradients(None, None)
        loss, highest, share = (torch.empty_like(own) for _ in range(3))
        for rows in _slices(len(own), num_rows if held else catalog.tile_rows):
            tiles = list(catalog.tiles(rows)) if held else catalog.tiles(rows)
            parts = (catalog.logits(tile, own.dtype).flatten(1) for tile in tiles)
            highest[rows], mass = _sum_of_exponentials(parts, own[rows])
            loss[rows], share[rows] = loss_and_share(own[rows], highest[rows], mass)
            if held:
                for tile in tiles:
                    catalog.add_gradients(made, tile, highest[rows], share[rows])
        ctx.save_for_backward(interests, items, excluded, log_weight, loss, highest, share, *made)
        ctx.scale, ctx.reduce, ctx.held = scale, reduce, held
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        interests, items, excluded, log_weight, loss, highest, share, *made = ctx.saved_tensors
        catalog = _Catalog(interests, items, excluded, log_weight, ctx.scale, ctx.reduce)
        of_interests, of_items, of_own = ctx.needs_input_grad[:3]
        all_equal = ctx.held and bool((grad == grad[0]).all())
        anew = catalog.zero_gradients(of_interests and not ctx.held, of_items and not all_equal, loss.dtype)
        if any(gradient is not None for gradient in anew):
            with torch.autocast(grad.device.type, enabled=False):  # the scores must be those of forward
                for rows in _slices(len(grad), catalog.tile_rows):
                    for tile in catalog.tiles(rows):
                        catalog.add_gradients(anew, tile, highest[rows], share[rows] * grad[rows])
        made = _Gradients(*made)
        grad_interests = made.interests * grad.view(-1, 1, 1) if of_interests and ctx.held else anew.interests
        grad_items = made.items * grad[0] if of_items and all_equal else anew.items
        return (
            None if grad_interests is None else grad_interests.to(interests.dtype),
            None if grad_items is None else grad_items.to(items.dtype),
            own_gradient(loss, grad) if of_own else None,
            *(None,) * 5,
        )


def _slices(length: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def _sum_of_exponentials(parts: Iterator[Tensor], like: Tensor) -> tuple[Tensor, Tensor]:
    """The highest of the logits ``[n]``, given in parts ``[n, ...]``, and the sum of ``exp(logit - highest)``.

    Overwrites the parts.
    """
    highest, mass = torch.full_like(like, torch.finfo(like.dtype).min), torch.zeros_like(like)
    for logits in parts:
        higher = torch.maximum(highest, logits.amax(1))
        mass = mass * (highest - higher).exp() + logits.sub_(higher.unsqueeze(1)).exp_().sum(1)
        highest = higher
    return highest, mass


def _share_among_best(slope: Tensor, tile: _Tile) -> Tensor:
    """Gradient ``[n, K, v]`` of the scores from that of the reduced ones: of equal scores each has the same part."""
    if tile.reduced.shape == tile.scores.shape:
        return slope.to(tile.scores.dtype)
    is_best = tile.scores.eq_(tile.reduced)
    slope /= is_best.sum(1, keepdim=True)
    return is_best.mul_(slope.to(is_best.dtype))
