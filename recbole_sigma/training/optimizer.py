"""The optimizer of the plugin's models."""

from __future__ import annotations

from torch.optim import Adam, Optimizer


def fused(optimizer: Optimizer) -> Optimizer:
    """Adam with its fused kernel in place of a new plain Adam; other optimizers are returned as they are."""
    if type(optimizer) is not Adam:
        return optimizer
    return Adam([{**group, "fused": True} for group in optimizer.param_groups], fused=True)
