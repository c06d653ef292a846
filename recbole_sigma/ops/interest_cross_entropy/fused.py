"""The Triton kernels' launches: O(N K D + V D) memory, and the scores never leave the chip.

The backward pass computes the scores again, once by rows and once by items. So every gradient has one writer, which
adds in a fixed order, and results repeat to the bit.
"""

from __future__ import annotations

import importlib.util
import os

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recbole_sigma.ops.interest_cross_entropy.naive import loss_and_share, own_gradient

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
MOST_INTERESTS = 64
MOST_DIMENSIONS = 256
TILE_INTERESTS = 64
"""Interests in a tile, which holds all interests of some rows."""
TILE_ITEMS = 128
TILE_ITEM_BYTES = 2**15
PROGRAMS = 512
"""With fewer blocks of rows than this, the catalog is split to occupy all processors of a GPU."""
MOST_SPLITS = 8


def cannot_run(interests: Tensor) -> str | None:
    """Why the kernels cannot run on these interests (and items of the same type and device), or None if they can."""
    _, num_interests, num_dimensions = interests.shape
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if interests.device.type != "cuda" and not interpreted:
        return f"the tensors are on {interests.device}"
    if interests.dtype not in DTYPES or interpreted and interests.dtype == torch.bfloat16:
        return f"the products are in {interests.dtype}"
    if num_interests > MOST_INTERESTS:
        return f"there are {num_interests} interests, more than {MOST_INTERESTS}"
    if num_dimensions > MOST_DIMENSIONS:
        return f"there are {num_dimensions} dimensions, more than {MOST_DIMENSIONS}"
    return None


class _LossAgainstOthers(torch.autograd.Function):
    """As ``naive.loss_against_others``, with the same arguments."""

    @staticmethod
    def forward(ctx, interests, items, own, excluded, log_weight, scale, reduce):
        highest, mass = Problem(interests, items, excluded, log_weight, scale, reduce).sum_of_exponentials()
        loss, share = loss_and_share(own, highest, mass)
        ctx.save_for_backward(interests, items, excluded, log_weight, loss, highest, share)
        ctx.scale, ctx.reduce = scale, reduce
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        interests, items, excluded, log_weight, loss, highest, share = ctx.saved_tensors
        of_interests, of_items, of_own = ctx.needs_input_grad[:3]
        problem = Problem(interests, items, excluded, log_weight, ctx.scale, ctx.reduce)
        weight = share * grad
        return (
            problem.interests_gradient(highest, weight) if of_interests else None,
            problem.items_gradient(highest, weight) if of_items else None,
            own_gradient(loss, grad) if of_own else None,
            *(None,) * 4,
        )


loss_against_others = _LossAgainstOthers.apply


class Problem:
    """The arguments, cut into blocks for the kernels. With ``reduce="sum"``, each interest is a row of its own."""

    def __init__(
        self,
        interests: Tensor,
        items: Tensor,
        excluded: Tensor,
        log_weight: Tensor | None,
        scale: float,
        reduce: str,
    ) -> None:
        self.shape = interests.shape
        self.rows_each = interests.shape[1] if reduce == "sum" else 1
        self.rows = (interests.flatten(0, 1).unsqueeze(1) if reduce == "sum" else interests).contiguous()
        self.items = items.contiguous()
        log_weight = None if log_weight is None else log_weight.float()
        self.arguments = (self.rows, self.items, self._by_row(excluded), log_weight)
        num_rows, num_interests, num_dimensions = self.rows.shape
        self.sizes = (num_rows, len(items), num_interests, num_dimensions, scale)

        block_k, block_d = _power_of_two(num_interests), max(16, _power_of_two(num_dimensions))
        block_n = TILE_INTERESTS // block_k
        block_v = min(TILE_ITEMS, TILE_ITEM_BYTES // (block_d * items.element_size()))
        self.row_blocks, self.item_blocks = _ceil_div(num_rows, block_n), _ceil_div(len(items), block_v)
        blocks_per_split = _ceil_div(self.item_blocks, min(MOST_SPLITS, _ceil_div(PROGRAMS, self.row_blocks)))
        self.splits = _ceil_div(self.item_blocks, blocks_per_split)
        self.items_per_split = blocks_per_split * block_v
        self.options = {
            "BLOCK_N": block_n,
            "BLOCK_K": block_k,
            "BLOCK_V": block_v,
            "BLOCK_D": block_d,
            "WEIGHTED": log_weight is not None,
            "PRECISION": "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32",
            "num_warps": 8,
            "num_stages": 2,
        }

    def sum_of_exponentials(self) -> tuple[Tensor, Tensor]:
        """The highest logit ``[N]`` of the items that are not excluded, and the sum of ``exp(logit - highest)``."""
        highest, mass = torch.empty(2, self.splits, len(self.rows), dtype=torch.float32, device=self.rows.device)
        self._launch("sum_kernel", (self.row_blocks, self.splits), highest, mass, *self.sizes, self.items_per_split)
        highest, mass = (
            part.view(self.splits, -1, self.rows_each).transpose(0, 1).flatten(1) for part in (highest, mass)
        )
        top = highest.amax(1)
        return top, (mass * (highest - top.unsqueeze(1)).exp()).sum(1)

    def interests_gradient(self, highest: Tensor, weight: Tensor) -> Tensor:
        """Gradient, if the slope in each logit is ``weight exp(logit - highest)``, both ``[N]``."""
        parts = torch.empty(self.splits, *self.rows.shape, dtype=torch.float32, device=self.rows.device)
        self._launch(
            "interests_gradient_kernel",
            (self.row_blocks, self.splits),
            self._by_row(highest),
            self._by_row(weight),
            parts,
            *self.sizes,
            self.items_per_split,
        )
        return parts.sum(0).to(self.rows.dtype).view(self.shape)

    def items_gradient(self, highest: Tensor, weight: Tensor) -> Tensor:
        """Arguments as for ``interests_gradient``."""
        gradient = torch.empty_like(self.items)
        self._launch(
            "items_gradient_kernel",
            (self.item_blocks,),
            self._by_row(highest),
            self._by_row(weight),
            gradient,
            *self.sizes,
        )
        return gradient

    def _by_row(self, tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(self.rows_each)

    def _launch(self, kernel: str, grid: tuple[int, ...], *arguments: Tensor | float) -> None:
        from recbole_sigma.ops.interest_cross_entropy import kernels  # imports Triton

        with torch.cuda.device_of(self.rows):
            getattr(kernels, kernel)[grid](*self.arguments, *arguments, **self.options)


def _ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
