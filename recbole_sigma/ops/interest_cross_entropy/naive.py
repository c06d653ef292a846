"""The definition in plain PyTorch, which holds every score, ``[N, K, V]``."""

from __future__ import annotations

import torch
from torch import Tensor


def loss_against_others(
    interests: Tensor,
    items: Tensor,
    own: Tensor,
    excluded: Tensor,
    log_weight: Tensor | None,
    scale: float,
    reduce: str,
) -> Tensor:
    """``log(exp(own) + sum_v weight_v exp(scale s_v)) - own``, where s_v is ``max_k u_k.v`` of an item.

    Args:
        interests: u, ``[N, K, D]``.
        items: ``[V, D]``, of the same type.
        own: ``[N]`` in float32 or wider, the logit that competes with the sum.
        excluded: ``[N]``, the row of ``items`` that the sum leaves out, or -1 for none.
        log_weight: ``[V]``, typed as ``own``, or None for weights of 1.
        scale: multiplies the scores.
        reduce: "max" as above; "sum" adds up ``exp(scale u_k.v)`` over k instead of taking the maximum.

    Returns:
        ``[N]``, typed as ``own``.
    """
    scores = interests @ items.T  # [N, K, V]
    if reduce == "max":
        scores = scores.amax(1, keepdim=True)  # equal scores share the gradient
    logits = scores.to(own.dtype) * scale
    if log_weight is not None:
        logits = logits + log_weight
    is_excluded = torch.arange(len(items), device=items.device) == excluded.unsqueeze(1)  # [N, V]
    least = torch.finfo(own.dtype).min  # not minus infinity: a sum of nothing else would have no gradient
    logits = logits.masked_fill(is_excluded.unsqueeze(1), least).flatten(1)
    highest = logits.detach().amax(1)  # apart from the sum, which is exact then for scores of any size
    advantage = (logits - highest.unsqueeze(1)).logsumexp(1) + (highest - own)
    return torch.logaddexp(advantage, torch.zeros_like(own))


def loss_and_share(own: Tensor, highest: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
    """Loss ``[N]`` of ``own``, and its slope in a logit of the others over ``exp(logit - highest)``, ``[N]``.

    Args:
        own: ``[N]``.
        highest: ``[N]``, the highest of the other logits.
        mass: ``[N]``, sum of ``exp(logit - highest)`` over the others. Kept apart from ``highest``, it is exact for
            logits so large that their log-sum-exp is not.
    """
    advantage = (highest - own) + mass.log()
    loss = torch.logaddexp(advantage, torch.zeros_like(advantage))
    return loss, advantage.sigmoid() / mass.clamp_min(torch.finfo(mass.dtype).tiny)


def own_gradient(loss: Tensor, grad: Tensor) -> Tensor:
    """Gradient ``[N]`` of ``own`` from the loss and its gradient."""
    return torch.expm1(-loss) * grad
