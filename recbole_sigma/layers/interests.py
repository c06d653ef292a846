"""Encoder of MIE-VAE: the Gaussian of every interest of every prefix of a sequence (SIGMA, section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

LEAST_PROBABILITY = 1e-30
"""Category probabilities below it count as zero."""


class Interests(NamedTuple):
    """Interests after each position of a batch of sequences."""

    mean: Tensor  # [B, T, K, D]
    log_var: Tensor  # [B, T, K, D]
    intensity: Tensor  # [B, T, K], summing to 1 over K


class InterestEncoder(nn.Module):
    """Learns categories of items and, for every prefix of a sequence, one Gaussian for each category.

    Shapes: ``B`` sequences, ``T`` positions, ``K`` categories (= interests), ``D`` hidden size.

    Args:
        hidden_size: D.
        num_categories: K.
        category_temperature: tau of the softmax over categories.
        soft_interest: "sum" of the items weighted by category, as printed, or their "mean", which does not grow
            with the length of the history.
        mixture_mask: gives no intensity to categories that no item was assigned to yet.
    """

    def __init__(
        self,
        hidden_size: int,
        num_categories: int,
        category_temperature: float = 0.1,
        soft_interest: str = "sum",
        mixture_mask: bool = False,
    ) -> None:
        super().__init__()
        self.num_categories = num_categories
        self.category_temperature = category_temperature
        self.soft_interest = soft_interest
        self.mixture_mask = mixture_mask
        self.categories = nn.Parameter(nn.init.orthogonal_(torch.empty(num_categories, hidden_size)))
        self.gru = nn.GRU(hidden_size, hidden_size)
        self.log_var_mlp = nn.Sequential(
            nn.Linear(2 * hidden_size, hidden_size), nn.GELU(), nn.Linear(hidden_size, hidden_size)
        )

    def forward(self, items: Tensor, mask: Tensor) -> Interests:
        """
        Args:
            items: item vectors ``[B, T, D]`` in time order.
            mask: ``[B, T]``, True at items, False at padding, wherever it stands.

        Returns:
            Interests of every prefix 1..t; those at padding are the ones of the item before it.
        """
        mean, intensity = self.mean_and_intensity(items, mask)
        return Interests(mean, self.log_var(mean), intensity)

    def mean_and_intensity(self, items: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean ``[B, T, K, D]`` and intensity ``[B, T, K]`` alone; arguments as for ``forward``."""
        logits = self.category_logits(items)
        # a, [B, T, K]; without the smallest values, whose reciprocals overflow in the gradients of mean and mixture.
        probability = F.threshold(logits.softmax(-1), LEAST_PROBABILITY, 0.0) * mask.unsqueeze(-1)
        mass = probability.cumsum(1)
        soft = (probability.unsqueeze(-1) * items.unsqueeze(2)).cumsum(1)  # h, [B, T, K, D]
        if self.soft_interest == "mean":
            soft = soft / mass.clamp_min(LEAST_PROBABILITY).unsqueeze(-1)
        hard, present = self.hard_interests(items, mask, logits)  # r, [B, T, K, D] and [B, T, K]
        mean = (soft + hard) / 2  # (5)
        weight = mass * present if self.mixture_mask else mass
        intensity = weight / weight.sum(-1, keepdim=True).clamp_min(LEAST_PROBABILITY)  # alpha
        return mean, intensity

    def log_var(self, mean: Tensor) -> Tensor:
        """Log-variance (6) of interests with these means: ``[..., K, D]`` -> ``[..., K, D]``."""
        categories = F.normalize(self.categories, dim=-1).expand_as(mean)
        return self.log_var_mlp(torch.cat([categories, mean], dim=-1))

    def category_logits(self, items: Tensor) -> Tensor:
        """Logits of the category probabilities ``a`` of each item: ``[..., D]`` -> ``[..., K]``."""
        unit_items, unit_categories = F.normalize(items, dim=-1), F.normalize(self.categories, dim=-1)
        return unit_items @ unit_categories.T / self.category_temperature

    def hard_interests(self, items: Tensor, mask: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """State of the GRU after the last item of each category at or before each position.

        Each item belongs to one category, drawn by straight-through Gumbel-softmax in training (Jang et al.,
        2016) and the most probable one otherwise; the items of a category form a subsequence in time order.

        Returns:
            States ``[B, T, K, D]``, zero for a category without an item so far, and ``[B, T, K]``, True where
            the category has one.
        """
        batch, length, _ = items.shape
        num_categories = self.num_categories
        if self.training:
            logits = logits + gumbel_noise(logits)
        category = logits.argmax(-1)  # [B, T]
        probability = logits.softmax(-1).gather(-1, category.unsqueeze(-1))
        straight_through = 1 + (probability - probability.detach())  # exactly 1 forward
        sequence = torch.arange(batch, device=items.device).unsqueeze(1)
        group = (sequence * num_categories + category)[mask]  # [N]
        order, batch_sizes = packed_order(group, batch * num_categories)
        packed = PackedSequence((items * straight_through)[mask][order], batch_sizes)
        states = self.gru(packed)[0].data[order.argsort()]  # [N, D], after each item
        # Row 0 is the state of a category without items, row n the state after the n-th item of the batch.
        states = torch.cat([states.new_zeros(1, states.shape[-1]), states])
        number = torch.zeros_like(category).masked_scatter(mask, torch.arange(1, len(states), device=items.device))
        of_category = F.one_hot(category, num_categories) * number.unsqueeze(-1)  # [B, T, K]
        latest = of_category.cummax(dim=1).values
        return states[latest], latest > 0


def gumbel_noise(like: Tensor) -> Tensor:
    """Independent draws of the standard Gumbel distribution, shaped as ``like``."""
    return -torch.empty_like(like).exponential_().log()


def packed_order(group: Tensor, num_groups: int) -> tuple[Tensor, Tensor]:
    """Order in which a ``PackedSequence`` holds tokens that are given group by group in time order.

    Args:
        group: ``[N]``, the subsequence that each token belongs to, in ``range(num_groups)``.

    Returns:
        Indices ``[N]`` that bring the tokens into packed order, longest subsequence first, and the number of
        subsequences at each step (on the CPU, as PyTorch wants it).
    """
    token = torch.arange(len(group), device=group.device)
    lengths = torch.bincount(group, minlength=num_groups)
    by_group = group.argsort(stable=True)
    step = torch.empty_like(group)
    step[by_group] = token - (lengths.cumsum(0) - lengths)[group[by_group]]
    rank = torch.empty_like(lengths)
    rank[lengths.argsort(descending=True, stable=True)] = torch.arange(num_groups, device=group.device)
    return (step * num_groups + rank[group]).argsort(), torch.bincount(step).cpu()
