"""Plain PyTorch in tiles of rows and items, on any device, in O(N K D + V D) memory."""

from __future__ import annotations

import functools
import math
from typing import Iterable, Iterator, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from recbole_sigma import precision
from recbole_sigma.ops.interest_cross_entropy.naive import loss_and_share, own_gradient

TILE_ITEMS = 1024
"""Smallest number of items in a tile."""
TILE_SCORES = 2**19
"""Scores in a tile on a CPU. They and what is computed from them fit the caches of two cores."""
TILE_SCORES_OF_GPU = 2**24
"""Scores in a tile on other devices, where launching many small steps would take longer than computing them (not
measured)."""
HELD_SCORES = 2**23
"""Most scores that the forward pass may hold at a time on a CPU, to compute the gradients from them."""
HELD_ROWS = (32, 256)
"""Fewest and most rows held at a time. With fewer it is faster to compute the scores twice; more save nothing."""

ROWS_OF_KERNELS = 16
"""The number of held rows is a multiple of this: in bfloat16, a CPU builds kernels for each new number of rows."""


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
    reduced: Tensor  # [n, 1, v], the maximum over K; or all scores, if the sum runs over K, too


class _Gradients(NamedTuple):
    interests: Tensor | None
    items: Tensor | None


class _Catalog(NamedTuple):
    """The arguments of ``loss_against_others``, and what to compute in a tile."""

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
        """More than ``TILE_ITEMS`` if there are fewer rows than a tile may have."""
        return max(TILE_ITEMS, self.tile_scores // (len(self.interests) * self.interests.shape[1]))

    @property
    def held_rows(self) -> int:
        """Number of rows whose scores of the whole catalog are held at a time, or 0."""
        if self.items.device.type != "cpu" or self.interests.dtype == torch.float16:
            return 0  # forward does not know the scale of the loss, without which float16 gradients underflow
        least, most = HELD_ROWS
        num_rows = len(self.interests)
        fitting = min(HELD_SCORES // (self.interests.shape[1] * len(self.items)), most, num_rows)
        if fitting < min(least, num_rows):
            return 0
        of_even_parts = math.ceil(num_rows / math.ceil(num_rows / fitting))
        return _rounded_up(of_even_parts)

    def tile(self, rows: slice, columns: slice) -> _Tile:
        interests = self.interests[rows]
        scores = (interests.flatten(0, 1) @ self.items[columns].T).view(*interests.shape[:2], -1)
        return _Tile(rows, columns, scores, scores.amax(1, keepdim=True) if self._has_maximum else scores)

    @property
    def _has_maximum(self) -> bool:
        return self.reduce == "max" and self.interests.shape[1] > 1

    def tiles(self, rows: slice) -> Iterator[_Tile]:
        return (self.tile(rows, columns) for columns in _slices(len(self.items), self.tile_items))

    def logits(self, tile: _Tile, dtype: torch.dtype) -> Tensor:
        """Logits of the terms of the sum, in the shape of ``tile.reduced`` and in new memory."""
        logits = tile.reduced.to(dtype) * self.scale
        if self.log_weight is not None:
            logits += self.log_weight[tile.columns]
        column = (self.excluded[tile.rows] - tile.columns.start).view(-1, 1, 1).expand(-1, logits.shape[1], 1)
        inside = (column >= 0) & (column < logits.shape[2])
        column = column.clamp(0, logits.shape[2] - 1)
        return logits.scatter_(2, column, logits.gather(2, column).masked_fill_(inside, -math.inf))

    def add_gradients(self, gradients: _Gradients, tile: _Tile, exponentials: Tensor, weight: Tensor) -> None:
        """Add the gradients of a tile, where the slope in a logit is ``weight`` times its exponential.

        This overwrites ``exponentials`` and the scores of the tile.

        Args:
            exponentials: in the shape of ``tile.reduced``.
            weight: ``[n]``.
        """
        exponentials *= (weight * self.scale).view(-1, 1, 1)
        slope = _share_among_best(exponentials, tile).flatten(0, 1)  # [n K, v]
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
    """If the forward pass can hold the scores, it computes the gradients of the sum of losses from them.

    The backward pass scales these gradients: row by row for the interests; for the items only if all losses have the
    same gradient, as after ``sum`` or ``mean``. Otherwise it computes the gradients from new scores.
    """

    @staticmethod
    def forward(ctx, interests, items, own, excluded, log_weight, scale, reduce, grad_enabled):
        num_losses, needed = len(own), ctx.needs_input_grad[:2]
        catalog = _Catalog(interests, items, excluded, log_weight, scale, reduce)
        num_rows = catalog.held_rows if grad_enabled and any(needed) else 0
        if num_rows and interests.dtype == torch.bfloat16:
            missing = _rounded_up(num_losses) - num_losses
            interests = F.pad(interests, (0, 0, 0, 0, 0, missing))  # zeros, which add nothing to the items' gradient
            own, excluded = F.pad(own, (0, missing)), F.pad(excluded, (0, missing), value=-1)
            catalog = catalog._replace(interests=interests, excluded=excluded)
        made = catalog.zero_gradients(*needed, own.dtype) if num_rows else _Gradients(None, None)
        loss, highest, share = (torch.empty_like(own) for _ in range(3))
        for rows in _slices(len(own), num_rows or catalog.tile_rows):
            if num_rows:
                tile = catalog.tile(rows, slice(0, len(items)))
                logits = catalog.logits(tile, own.dtype)
                highest[rows], mass = _sum_of_exponentials([logits.flatten(1)], own[rows])
            else:
                parts = (catalog.logits(tile, own.dtype).flatten(1) for tile in catalog.tiles(rows))
                highest[rows], mass = _sum_of_exponentials(parts, own[rows])
            loss[rows], share[rows] = loss_and_share(own[rows], highest[rows], mass)
            if num_rows:
                catalog.add_gradients(made, tile, logits, share[rows])
        ctx.save_for_backward(interests, items, excluded, log_weight, loss, highest, share, *made)
        ctx.scale, ctx.reduce, ctx.held = scale, reduce, bool(num_rows)
        return loss[:num_losses]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        interests, items, excluded, log_weight, loss, highest, share, *made = ctx.saved_tensors
        catalog = _Catalog(interests, items, excluded, log_weight, ctx.scale, ctx.reduce)
        of_interests, of_items, of_own = ctx.needs_input_grad[:3]
        all_equal = ctx.held and bool((grad == grad[0]).all())  # synchronises a GPU, but only CPUs hold scores
        anew = catalog.zero_gradients(of_interests and not ctx.held, of_items and not all_equal, loss.dtype)
        if any(gradient is not None for gradient in anew):
            with precision.no_autocast(grad):  # the scores must be those of the forward pass
                for rows in _slices(len(grad), catalog.tile_rows):
                    for tile in catalog.tiles(rows):
                        logits = catalog.logits(tile, loss.dtype)
                        logits = logits.sub_(highest[rows].view(-1, 1, 1)).exp_()
                        catalog.add_gradients(anew, tile, logits, share[rows] * grad[rows])
        made = _Gradients(*made)
        of_losses = slice(0, len(grad))
        grad_interests = (
            made.interests[of_losses] * grad.view(-1, 1, 1) if of_interests and ctx.held else anew.interests
        )
        grad_items = made.items * grad[0] if of_items and all_equal else anew.items
        return (
            None if grad_interests is None else grad_interests.to(interests.dtype),
            None if grad_items is None else grad_items.to(items.dtype),
            own_gradient(loss[of_losses], grad) if of_own else None,
            *(None,) * 5,
        )


def _rounded_up(num_rows: int) -> int:
    return math.ceil(num_rows / ROWS_OF_KERNELS) * ROWS_OF_KERNELS


def _slices(length: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def _sum_of_exponentials(parts: Iterable[Tensor], like: Tensor) -> tuple[Tensor, Tensor]:
    """Highest logit ``[n]``, and sum of ``exp(logit - highest)`` ``[n]``, of logits given in parts ``[n, v]``.

    Each part is overwritten with ``exp(logit - highest so far)``.
    """
    highest, mass = torch.full_like(like, torch.finfo(like.dtype).min), torch.zeros_like(like)
    for logits in parts:
        higher = torch.maximum(highest, logits.amax(1))
        mass = mass * (highest - higher).exp() + logits.sub_(higher.unsqueeze(1)).exp_().sum(1)
        highest = higher
    return highest, mass


def _share_among_best(slope: Tensor, tile: _Tile) -> Tensor:
    """Gradient ``[n, K, v]`` of the scores from that of the reduced scores; scores that come out equal share it equally."""
    slope = slope.to(tile.scores.dtype)
    if tile.reduced is tile.scores:
        return slope
    is_best = tile.scores.eq_(tile.reduced)
    number = functools.reduce(torch.add, is_best.unbind(1))  # sum(1) takes twice the time in bfloat16
    return is_best.mul_(slope.div_(number.unsqueeze(1)))
