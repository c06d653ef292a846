"""Encoder of MIE-VAE: the Gaussian of every interest of every prefix of a sequence (SIGMA, section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sigma import precision
from recbole_sigma.layers.gelu import GELU
from recbole_sigma.layers.packing import Packing

LEAST_PROBABILITY = 1e-30
"""Category probabilities below it count as zero."""


class Interests(NamedTuple):
    """Interests after each of the M items of a batch of sequences."""

    mean: Tensor  # [M, K, D]
    log_var: Tensor  # [M, K, D]
    intensity: Tensor  # [M, K], alpha, summing to 1 over K


class InterestEncoder(nn.Module):
    """Learns categories of items and, for every prefix of a sequence, one Gaussian for each category.

    Shapes: ``B`` sequences of ``M`` items in all, ``K`` categories (= interests), ``D`` hidden size. The running sums
    and the GRU are in float32 or wider, whatever the autocast.

    Args:
        hidden_size: D.
        num_categories: K.
        category_temperature: tau of the softmax over categories.
        soft_interest: "sum" of the items weighted by category, as printed, or their "mean", which does not grow
            with the length of the history.
        mixture_mask: gives no intensity to categories that no item was assigned to yet.
        interest: mean of a Gaussian: "both", half the soft and half the hard interest as printed in (5), or one alone.
    """

    def __init__(
        self,
        hidden_size: int,
        num_categories: int,
        category_temperature: float = 0.1,
        soft_interest: str = "sum",
        mixture_mask: bool = False,
        interest: str = "both",
    ) -> None:
        super().__init__()
        self.num_categories = num_categories
        self.category_temperature = category_temperature
        self.soft_interest = soft_interest
        self.mixture_mask = mixture_mask
        self.interest = interest
        self.categories = nn.Parameter(nn.init.orthogonal_(torch.empty(num_categories, hidden_size)))
        self.gru = nn.GRU(hidden_size, hidden_size).requires_grad_(interest != "soft")
        self.log_var_mlp = nn.Sequential(
            nn.Linear(2 * hidden_size, hidden_size), GELU(), nn.Linear(hidden_size, hidden_size)
        )

    def forward(self, items: Tensor, packing: Packing) -> Interests:
        """
        Args:
            items: item vectors ``[M, D]``, sequence by sequence in time order.
            packing: of the M items.

        Returns:
            Interests after each item, that is of every prefix.
        """
        mean, intensity = self.mean_and_intensity(items, packing)
        return Interests(mean, self.log_var(mean), intensity)

    def mean_and_intensity(self, items: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """Mean ``[M, K, D]`` and intensity ``[M, K]`` alone; arguments as for ``forward``.

        Each item belongs to one category, drawn by straight-through Gumbel-softmax in training (Jang et al.,
        2016) and the most probable one otherwise; the GRU reads the items of a category in time order.
        """
        with precision.no_autocast(items):
            logits = self.category_logits(items)
            # a, [M, K]; without the smallest values, whose reciprocals overflow in the gradients of mean and mixture.
            probability = F.threshold(logits.softmax(-1), LEAST_PROBABILITY, 0.0)
            if self.training:
                logits = logits + gumbel_noise(logits)
            category = logits.argmax(-1)
            chosen = logits.softmax(-1).gather(-1, category.unsqueeze(-1))
            straight_through = 1 + (chosen - chosen.detach())  # exactly 1 forward
            scan = packing.interest_scan(items, probability, items * straight_through, category, self.gru)
        soft, weight = scan.soft, scan.intensity
        if self.soft_interest == "mean":
            mass = scan.intensity * (packing.position + 1).unsqueeze(-1)
            soft = soft / mass.clamp_min(LEAST_PROBABILITY).unsqueeze(-1)
        mean = {"both": (soft + scan.hard) / 2, "soft": soft, "hard": scan.hard}[self.interest]  # (5)
        if self.mixture_mask:
            weight = weight * scan.present
        return mean, weight / weight.sum(-1, keepdim=True).clamp_min(LEAST_PROBABILITY)

    def log_var(self, mean: Tensor) -> Tensor:
        """Log-variance (6) of interests with these means: ``[..., K, D]`` -> ``[..., K, D]``."""
        first, *others = self.log_var_mlp
        of_category, of_mean = first.weight.chunk(2, dim=1)  # first([G ; m]), the category's part once for all rows
        hidden = F.linear(mean, of_mean) + F.linear(F.normalize(self.categories, dim=-1), of_category, first.bias)
        for layer in others:
            hidden = layer(hidden)
        return hidden.to(mean.dtype)

    def category_logits(self, items: Tensor) -> Tensor:
        """Logits of the category probabilities ``a`` of each item: ``[..., D]`` -> ``[..., K]``."""
        unit_items, unit_categories = F.normalize(items, dim=-1), F.normalize(self.categories, dim=-1)
        return unit_items @ unit_categories.T / self.category_temperature


def gumbel_noise(like: Tensor) -> Tensor:
    """Independent draws of the standard Gumbel distribution, shaped as ``like``."""
    return -torch.empty_like(like).exponential_().log()
