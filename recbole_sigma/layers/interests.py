"""Encoder of MIE-VAE: the Gaussian of every interest of every prefix of a sequence (SIGMA, section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_sigma import precision
from recbole_sigma.layers.gelu import GELU
from recbole_sigma.layers.packing import Packing
from recbole_sigma.layers.padded_packing import PaddedPacking
from recbole_sigma.ops import InterestScan, interest_scan
from recbole_sigma.ops.interest_scan import padded

LEAST_PROBABILITY = 1e-30
"""Smaller probabilities of a category become zero: their reciprocals overflow in gradients."""


class Interests(NamedTuple):
    """Interests after each of the M items of a batch of sequences."""

    mean: Tensor  # [M, K, D]
    log_var: Tensor  # [M, K, D]
    intensity: Tensor  # [M, K], alpha, summing to 1 over K


class InterestEncoder(nn.Module):
    """Learns categories of items and, for every prefix of a sequence, one Gaussian for each category.

    Shapes: ``B`` sequences of ``M`` items in all, ``K`` categories (= interests), ``D`` hidden size. Running sums and
    the GRU are in float32 or wider, also inside autocast.

    Args:
        hidden_size: D.
        num_categories: K.
        category_temperature: tau of the softmax over categories.
        soft_interest: "sum" of the items weighted by category, as printed, or their "mean", which does not grow
            with the length of the history.
        mixture_mask: whether categories that no item was assigned to yet have an intensity of 0.
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

    def forward(self, items: Tensor, packing: Packing, noise: Tensor | None = None) -> Interests:
        """
        Args:
            items: item vectors ``[M, D]``, sequence by sequence in time order.
            packing: of the M items.
            noise: ``[M, K]``, draws of the standard Gumbel distribution that assign the items to categories in
                training; by default new ones.

        Returns:
            Interests after each item, that is of every prefix.
        """
        mean, intensity = self.mean_and_intensity(items, packing, noise)
        return Interests(mean, self.log_var(mean), intensity)

    def mean_and_intensity(self, items: Tensor, packing: Packing, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean ``[M, K, D]`` and intensity ``[M, K]`` alone; arguments as for ``forward``.

        Each item is assigned to one category: in training to a draw by the Gumbel-max trick, otherwise to the most
        probable one. The GRU reads the items of a category in time order. Unlike the straight-through
        Gumbel-softmax (Jang et al., 2017), whose gradient reaches the probabilities of all categories through a
        one-hot vector, the gradient here passes through the relaxed probability of the chosen category alone.
        """
        with precision.no_autocast(items):
            logits = self.category_logits(items)
            probability = self.category_probability(logits)
            if self.training:
                logits = logits + (gumbel_noise(logits) if noise is None else noise)
            category = logits.argmax(-1)
            chosen = logits.softmax(-1).gather(-1, category.unsqueeze(-1))
            straight_through = 1 + (chosen - chosen.detach())  # exactly 1 forward
            scan = _scan(packing, items, probability, items * straight_through, category, self.gru)
        soft, weight = scan.soft, scan.intensity
        if self.soft_interest == "mean":
            mass = scan.intensity * (packing.position + 1).unsqueeze(-1)
            soft = soft / mass.clamp_min(LEAST_PROBABILITY).unsqueeze(-1)
        mean = {"both": (soft + scan.hard) / 2, "soft": soft, "hard": scan.hard}[self.interest]  # (5)
        if self.mixture_mask:
            weight = weight * scan.present
        return mean, weight / weight.sum(-1, keepdim=True).clamp_min(LEAST_PROBABILITY)

    def weights(self, items: Tensor, packing: Packing) -> Tensor:
        """Category probabilities a of each item, ``[M, D]`` to ``[M, K]``.

        With ``mixture_mask``, 0 for the categories that no item of the sequence is most probable in.
        """
        with precision.no_autocast(items):
            probability = self.category_probability(self.category_logits(items))
            if self.mixture_mask:
                assigned = F.one_hot(probability.argmax(-1), self.num_categories)
                present = packing.segment_sums(assigned) > 0  # [B, K]
                probability = probability * present[packing.sequence]
        return probability

    def log_var(self, mean: Tensor) -> Tensor:
        """Log-variance of interests with these means: ``[..., K, D]`` -> ``[..., K, D]``.

        (6) prints the output of the MLP as the standard deviation omega, which may be negative; here it is
        ``log(omega^2)``.
        """
        first, *others = self.log_var_mlp
        of_category, of_mean = first.weight.chunk(2, dim=1)  # first([G ; m]), the category's part once for all rows
        hidden = F.linear(mean, of_mean) + F.linear(F.normalize(self.categories, dim=-1), of_category, first.bias)
        for layer in others:
            hidden = layer(hidden)
        return hidden.to(mean.dtype)

    def category_probability(self, logits: Tensor) -> Tensor:
        """Probability a of the categories from their logits, ``[..., K]`` -> ``[..., K]``."""
        return F.threshold(logits.softmax(-1), LEAST_PROBABILITY, 0.0)

    def category_logits(self, items: Tensor) -> Tensor:
        """Logits of the category probabilities ``a`` of each item: ``[..., D]`` -> ``[..., K]``."""
        unit_items, unit_categories = F.normalize(items, dim=-1), F.normalize(self.categories, dim=-1)
        return unit_items @ unit_categories.T / self.category_temperature


def _scan(
    packing: Packing | PaddedPacking,
    items: Tensor,
    probability: Tensor,
    assigned: Tensor,
    category: Tensor,
    gru: nn.GRU,
) -> InterestScan:
    """``interest_scan`` of packed sequences, or of padded ones when the model is exported."""
    if isinstance(packing, Packing):
        return interest_scan(items, probability, assigned, category, packing.lengths, gru)
    rows = map(packing.unflatten, (items, probability, assigned, category))
    return InterestScan(*(part.flatten(0, 1) for part in padded.scan(*rows, gru, packing.max_length)))


def gumbel_noise(like: Tensor) -> Tensor:
    """Independent draws of the standard Gumbel distribution, shaped as ``like``."""
    return -torch.empty_like(like).exponential_().log()
