"""The definition in plain PyTorch, which stores all scores ``[N, K, V]``.

The other implementations compute only the sum over items in their own way. ``loss_and_share`` and ``own_gradient`` turn
this sum into the loss and its gradients.
"""

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
    """``log(exp(own) + sum_v weight_v exp(scale s_v)) - own``, where ``s_v = max_k u_k.v`` is the score of an item.

    Args:
        interests: u, ``[N, K, D]``.
        items: ``[V, D]``, of the same type.
        own: ``[N]`` in float32 or wider, the logit of the target, which competes with the sum.
        excluded: ``[N]``, the row of ``items`` that the sum leaves out, or -1 for none.
        log_weight: ``[V]``, of the type of ``own``, or None for weights of 1.
        scale: multiplies the scores.
        reduce: "max" as above; "sum" adds ``exp(scale u_k.v)`` over k instead of taking the maximum.

    Returns:
        ``[N]``, of the type of ``own``.
    """
    scores = interests @ items.T  # [N, K, V]
    if reduce == "max":
        scores = scores.amax(1, keepdim=True)  # scores that come out equal share the gradient
    logits = scores.to(own.dtype) * scale
    if log_weight is not None:
        logits = logits + log_weight
    is_excluded = torch.arange(len(items), device=items.device) == excluded.unsqueeze(1)  # [N, V]
    least = torch.finfo(own.dtype).min  # finite: with minus infinity, a row without other items has no gradient
    logits = logits.masked_fill(is_excluded.unsqueeze(1), least).flatten(1)
    highest = logits.detach().amax(1)  # subtracted first, so the sum is exact for scores of any size
    log_odds = (logits - highest.unsqueeze(1)).logsumexp(1) + (highest - own)  # of the other items against the target
    return torch.logaddexp(log_odds, torch.zeros_like(own))


def loss_and_share(own: Tensor, highest: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
    """Loss, and the factor that gives its gradient: the slope in a logit is ``share exp(logit - highest)``.

    Args:
        own: ``[N]``, the logit of the target.
        highest: ``[N]``, the highest logit of the other items.
        mass: ``[N]``, sum of ``exp(logit - highest)`` over the other items. It is separate from ``highest`` because
            their log-sum-exp is not exact for large logits.

    Returns:
        Loss ``[N]`` and share ``[N]``.
    """
    log_odds = (highest - own) + mass.log()
    loss = torch.logaddexp(log_odds, torch.zeros_like(log_odds))
    return loss, log_odds.sigmoid() / mass.clamp_min(torch.finfo(mass.dtype).tiny)


def own_gradient(loss: Tensor, grad: Tensor) -> Tensor:
    """Gradient ``[N]`` of the target's logit ``own``, from the loss ``[N]`` and its gradient ``[N]``."""
    return torch.expm1(-loss) * grad
