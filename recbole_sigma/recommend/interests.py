"""What a model with several vectors per user says of its users and items."""

from __future__ import annotations

from typing import NamedTuple

import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_sigma.errors import RequestError
from recbole_sigma.layers.packing import Packing, pack
from recbole_sigma.model.base import NextItemRecommender
from recbole_sigma.model.registry import MODELS

CANDIDATES = 50
"""Recommended items of a user that an interest ranks."""


class Interest(NamedTuple):
    """One of the K interests of a user, to which an item of the history belongs.

    Attributes:
        category: number of the interest, from 0; for SIGMA that of its implicit item category.
        intensity: share of the interest in the weights of the history; those of all K sum to 1. For SIGMA it is alpha,
            the interest's weight in the mixture.
        items: tokens of the history whose largest weight is in this interest, oldest first.
        nearest: tokens of the items that are recommended to the user, in the order in which the interest scores them,
            (9), best first.
        spread: standard deviation of the interest's Gaussian (6), the root of the mean variance of its features; None
            for models whose interests have none.
    """

    category: int
    intensity: float
    items: list[str]
    nearest: list[str]
    spread: float | None


class Category(NamedTuple):
    """One of the K implicit item categories.

    Attributes:
        number: from 0.
        size: number of items in the catalog that belong to it.
        interactions: number of training interactions with these items.
        typical: tokens of the items most similar to its vector, most similar first.
        similarity: cosines between their vectors and that of the category.
    """

    number: int
    size: int
    interactions: int
    typical: list[str]
    similarity: list[float]


class HistoryInterests(NamedTuple):
    """The interests after a history of ``T`` items; ``K`` interests of size ``E``."""

    items: Tensor  # [T], ids
    vectors: Tensor  # [K, E]; their products with item vectors are scores
    member: Tensor  # [T], interest in which each item has its largest weight
    intensity: Tensor  # [K], summing to 1
    spread: Tensor | None  # [K]
    weights: Tensor | None = None  # [K], of a mixture of the softmaxes of the interests

    @property
    def supported(self) -> list[int]:
        """The interests to which an item of the history belongs, most intense first."""
        members = set(self.member.tolist())
        return [number for number in self.intensity.argsort(descending=True).tolist() if number in members]


def has_interests(model) -> bool:
    """Whether the model can explain users by interests."""
    return isinstance(model, NextItemRecommender) and model.num_interests > 0


def role_of_interests(model) -> str | None:
    """What the interests have to do with the scores, ``interests_role`` of the model; None without interests."""
    return model.interests_role if has_interests(model) else None


def learns_categories(model) -> bool:
    """Whether the model learns implicit item categories, one for each interest."""
    return has_interests(model) and hasattr(model, "category_similarity")


def require_interests(model) -> None:
    """Raise RequestError unless the model has interests."""
    if not has_interests(model):
        hint = " with these settings" if hasattr(model, "interests") else ""
        raise RequestError(
            f"{type(model).__name__} has no interests{hint}; expected a checkpoint of a model with several vectors per "
            f"user: {_names('interests')} with settings that give it interests, or a MultiInterestRecommender of yours"
        )


def require_categories(model) -> None:
    """Raise RequestError unless the model learns item categories."""
    require_interests(model)
    if not learns_categories(model):
        raise RequestError(
            f"{type(model).__name__} learns no categories of items; expected a checkpoint of "
            f"{_names('category_similarity')}, or a history whose interests it explains (--history)"
        )


def _names(method: str) -> str:
    """The plugin's models that have a method."""
    return ", ".join(name for name, model in MODELS.items() if hasattr(model, method))


@torch.no_grad()
def interests_of_row(model: NextItemRecommender, row: Interaction) -> HistoryInterests:
    """The interests after the history of a single evaluation row."""
    items, packing, fields = _read(model, row)
    weights, spread = model.weights(items, packing, **fields), model.spread(items, packing, **fields)
    mixture = model.mixture_weights(items, packing, **fields)
    return HistoryInterests(
        items,
        model.interests(items, packing, **fields)[-1],
        weights.argmax(-1),
        weights.sum(0) / weights.sum(),
        None if spread is None else spread[0],
        None if mixture is None else mixture[0],
    )


@torch.no_grad()
def ranked_by_interests(model: NextItemRecommender, read: HistoryInterests, items: Tensor, count: int) -> Tensor:
    """Ids ``[K, n]`` of the ``count`` items that each interest scores highest among items ``[C]``, on the CPU."""
    scores = read.vectors @ model.item_vectors[items.to(read.vectors.device)].T  # [K, C]
    return items[scores.argsort(dim=1, descending=True)[:, :count].cpu()]


@torch.no_grad()
def closest_interest(model: NextItemRecommender, read: HistoryInterests, items: Tensor) -> Tensor:
    """The interest that scores each item ``[n]`` highest, on the CPU.

    It is the one with the largest product, or in a mixture the one that gives the largest part of the probability.
    """
    items = items.to(read.vectors.device)
    if read.weights is None:
        return (read.vectors @ model.item_vectors[items].T).argmax(0).cpu()
    logits = read.vectors @ model.item_vectors[1:].T / model.temperature  # [K, V - 1]
    return (logits.log_softmax(-1)[:, items - 1] + read.weights.log().unsqueeze(1)).argmax(0).cpu()


@torch.no_grad()
def intensities(model: NextItemRecommender, rows: Interaction) -> Tensor:
    """Intensity ``[B, K]`` of the interests after the history of each evaluation row."""
    items, packing, fields = _read(model, rows)
    mass = packing.segment_sums(model.weights(items, packing, **fields))
    return mass / mass.sum(-1, keepdim=True)


def _read(model: NextItemRecommender, rows: Interaction) -> tuple[Tensor, Packing, dict[str, Tensor]]:
    """The items of histories, their packing, and what else the model reads."""
    return (*pack(rows[model.ITEM_SEQ]), model.read_fields(rows))
