"""The loss of a logit against others whose exponentials have been added up."""

from __future__ import annotations

import torch
from torch import Tensor


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
