"""Cross-entropy over the catalog, where the best of several interests scores an item, without storing all scores.

Every implementation computes ``log(exp(own) + sum of exp(others)) - own`` from the logit of the target and the logits
of the other items. The result is never negative, and it is exact where the target has nearly all of the probability.
"""

from __future__ import annotations

import math
from typing import Callable

import torch
from torch import Tensor

from recbole_sigma.ops.interest_cross_entropy import fused, naive, tiled
from recbole_sigma.ops.interest_cross_entropy.negative_sampling import PROPOSALS, sample_negatives

IMPLEMENTATIONS = ("auto", "naive", "tiled", "triton")
REDUCTIONS = ("max", "sum")


def interest_cross_entropy(
    interests: Tensor,
    items: Tensor,
    target: Tensor,
    *,
    temperature: float = 1.0,
    impl: str = "auto",
    reduce: str = "max",
) -> Tensor:
    """``logsumexp_v(max_k u_k.v / t) - max_k u_k.target / t``: (9) of SIGMA (Li et al., 2025), (13) for one interest.

    The gradient of an item's score goes to its best interest. Interests whose scores come out equal share it equally.
    Whether they come out equal is a matter of rounding, which depends on the library and the machine, even for
    identical interests: the product of a row may depend on its place in the matrix. So which of several interests gets
    the gradient is not promised where their scores differ by no more than rounding. Promised is what does not depend
    on it: shares are not negative and add up to one, so the loss, the gradient of the items, and the sum of the
    gradients of these interests are those of any one of them in the place of all, up to the difference between them
    and rounding.

    Matrix products run in the type of the arguments, or in the type of ``torch.autocast`` if it is on. Everything else
    is in float32 or wider.

    Args:
        interests: u, ``[N, K, D]``, or ``[N, D]`` for K = 1.
        items: ``[V, D]``, the catalog.
        target: ``[N]``, rows of ``items``.
        temperature: t, more than 0.
        impl: "naive" stores ``[N, K, V]`` scores; "tiled" and "triton" need O(N K D + V D) memory. "triton" runs on
            CUDA, or on a CPU if the environment variable TRITON_INTERPRET is 1. "auto" is "tiled" as long as the
            kernels of "triton" have not been measured on a GPU.
        reduce: "max" as above; "sum" takes the log-sum-exp over items and interests together, and the maximum only
            for the target: the loss (6) of DSS (Ma et al., 2020).

    Returns:
        ``[N]`` in nats, in float32 or wider.

    Raises:
        ValueError: arguments do not fit together, or ``impl`` cannot run on them.
    """
    interests = _with_interest_dimension(interests)
    _check(interests, items, target, temperature, reduce)
    return _loss(interests, items, target, items, target, None, temperature, impl, reduce)


def sampled_interest_cross_entropy(
    interests: Tensor,
    items: Tensor,
    target: Tensor,
    *,
    num_samples: int,
    proposal: str = "uniform",
    temperature: float = 1.0,
    impl: str = "auto",
    reduce: str = "max",
    generator: torch.Generator | None = None,
) -> Tensor:
    """``interest_cross_entropy`` with its sum over the catalog estimated from sampled items.

    All rows share one set of samples, drawn with replacement from a proposal distribution Q. A sample that is the
    target of a row does not count in this row. The others have the weight ``1 / (num_samples Q)`` (the log-Q correction
    of Bengio & Senecal, 2008), so the estimate of the sum, before its logarithm, is unbiased.

    Args:
        interests, items, target, temperature, impl, reduce: as for ``interest_cross_entropy``.
        num_samples: at least 1.
        proposal: Q, "uniform" or "log-uniform". The latter is about proportional to ``1 / (row + 1)``, for items in
            order of falling popularity.
        generator: source of the random numbers, on the device of the items; by default PyTorch's.

    Returns:
        ``[N]`` in nats, as ``interest_cross_entropy``.

    Raises:
        ValueError: as for ``interest_cross_entropy``; or ``proposal`` is unknown, or ``num_samples`` less than 1.
    """
    interests = _with_interest_dimension(interests)
    _check(interests, items, target, temperature, reduce)
    if proposal not in PROPOSALS:
        raise ValueError(f"proposal is {proposal!r}; expected one of {', '.join(PROPOSALS)}")
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}; expected at least 1")
    rows, log_weight = sample_negatives(len(items), num_samples, proposal, items.device, generator)
    place = torch.searchsorted(rows, target.contiguous()).clamp(max=num_samples - 1)
    excluded = torch.where(rows[place] == target, place, -1)
    return _loss(interests, items, target, items.index_select(0, rows), excluded, log_weight, temperature, impl, reduce)


def _loss(
    interests: Tensor,
    items: Tensor,
    target: Tensor,
    candidates: Tensor,
    excluded: Tensor,
    log_weight: Tensor | None,
    temperature: float,
    impl: str,
    reduce: str,
) -> Tensor:
    wide = torch.promote_types(interests.dtype, torch.float32)
    scale = 1 / temperature
    of_target = scale * (interests.to(wide) * items.index_select(0, target).to(wide).unsqueeze(1)).sum(-1)  # [N, K]
    best = of_target.amax(1)
    excess = _excess_of_sum(of_target, best) if reduce == "sum" else torch.zeros_like(best)
    interests, candidates = _cast_for_products(interests, candidates)
    loss_against_others = _implementation(impl, interests)
    if not len(target):
        return best
    if log_weight is not None:
        log_weight = log_weight.to(wide)
    loss = loss_against_others(interests, candidates, best + excess, excluded, log_weight, scale, reduce)
    return loss + excess


def _excess_of_sum(logits: Tensor, best: Tensor) -> Tensor:
    """``logsumexp_k(logits) - best`` of logits ``[N, K]`` and their maximum; exact near 0, too."""
    is_best = (logits == best.unsqueeze(1)).to(logits.dtype)
    all_but_one_of_the_best = 1 - is_best / is_best.sum(1, keepdim=True)
    return torch.log1p(((logits - best.unsqueeze(1)).exp() * all_but_one_of_the_best).sum(1))


def _with_interest_dimension(interests: Tensor) -> Tensor:
    return interests.unsqueeze(1) if interests.dim() == 2 else interests


def _check(interests: Tensor, items: Tensor, target: Tensor, temperature: float, reduce: str) -> None:
    shapes = f"interests {list(interests.shape)}, items {list(items.shape)}, target {list(target.shape)}"
    if interests.dim() != 3 or items.dim() != 2 or interests.shape[2] != items.shape[1]:
        raise ValueError(f"{shapes}; expected interests [N, K, D] or [N, D] and items [V, D]")
    if target.shape != interests.shape[:1]:
        raise ValueError(f"{shapes}; expected target [N]")
    if 0 in interests.shape[1:] or not len(items):
        raise ValueError(f"{shapes}; expected at least one interest, dimension and item")
    if not (interests.is_floating_point() and items.is_floating_point()):
        raise ValueError(f"interests are {interests.dtype}, items {items.dtype}; expected floating-point numbers")
    if target.dtype != torch.int64:
        raise ValueError(f"target is {target.dtype}; expected torch.int64")
    if not (interests.device == items.device == target.device):
        raise ValueError(
            f"interests are on {interests.device}, items on {items.device}, target on {target.device}; "
            "expected one device"
        )
    if target.device.type == "cpu" and len(target):  # on a GPU this would synchronise
        low, high = int(target.min()), int(target.max())
        if low < 0 or high >= len(items):
            raise ValueError(f"target is from {low} to {high}; expected rows of items, 0 to {len(items) - 1}")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; expected a number more than 0")
    if reduce not in REDUCTIONS:
        raise ValueError(f"reduce is {reduce!r}; expected one of {', '.join(REDUCTIONS)}")


def _cast_for_products(interests: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    device = interests.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        return interests.to(dtype), items.to(dtype)
    if interests.dtype != items.dtype:
        raise ValueError(f"interests are {interests.dtype}, items {items.dtype}; expected the same type")
    return interests, items


def _implementation(impl: str, interests: Tensor) -> Callable[..., Tensor]:
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"impl is {impl!r}; expected one of {', '.join(IMPLEMENTATIONS)}")
    if impl == "naive":
        return naive.loss_against_others
    if impl in ("auto", "tiled"):
        return tiled.loss_against_others
    reason = fused.cannot_run(interests)
    if reason is not None:
        raise ValueError(f"impl is 'triton', but {reason}; expected 'auto' or 'tiled'")
    return fused.loss_against_others
