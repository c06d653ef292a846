"""What SIGMA learnt about users and items, in their own words."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recbole_sigma.errors import RequestError
from recbole_sigma.layers.packing import Packing, pack


class Interest(NamedTuple):
    """One of the K interests of a user (section 3.2 of the paper).

    Attributes:
        category: number of the implicit item category that it is of.
        intensity: alpha, its share in the mixture; those of a user sum to 1.
        items: tokens of the history that belong to the category, oldest first.
        nearest: tokens of the catalog that the interest alone would recommend, (9), best first.
        spread: standard deviation of its Gaussian (6), the root of the mean variance of its features.
    """

    category: int
    intensity: float
    items: list[str]
    nearest: list[str]
    spread: float


class Category(NamedTuple):
    """One of the K implicit item categories.

    Attributes:
        number: from 0.
        size: items of the catalog that belong to it.
        interactions: training interactions with these items.
        typical: tokens of the items most like its vector, most similar first.
        similarity: cosines of their vectors and that of the category.
    """

    number: int
    size: int
    interactions: int
    typical: list[str]
    similarity: list[float]


class ReadHistory(NamedTuple):
    """A history of ``T`` items as SIGMA's interests see it; ``K`` interests, ``D`` hidden size."""

    category: Tensor  # [T], of each item
    mean: Tensor  # [K, D]
    log_var: Tensor  # [K, D]
    intensity: Tensor  # [K]
    users: Tensor  # [K, D], decoded: their products with item vectors are scores


def require_interests(model) -> None:
    """Raise RequestError unless the model has interests."""
    if not getattr(model, "has_interests", False):
        name = type(model).__name__
        hint = ": it was trained with prior: standard" if hasattr(model, "has_interests") else ""
        raise RequestError(f"{name} has no interests{hint}; expected a checkpoint of SIGMA with prior: mixture")


@torch.no_grad()
def read_history(model, items: Tensor) -> ReadHistory:
    """The interests after a history ``[T]`` of item ids."""
    vectors = model.item_embedding(items)
    encoder = model.interest_encoder
    mean, log_var, intensity = (
        part[-1] for part in encoder(vectors, Packing(torch.tensor([len(items)]), items.device))
    )
    category = encoder.category_logits(vectors).argmax(-1)
    return ReadHistory(category, mean, log_var, intensity, model.interest_decoder(mean))


@torch.no_grad()
def category_similarity(model) -> Tensor:
    """Cosine of each item and each category, ``[V, K]``; row 0 is the padding."""
    encoder = model.interest_encoder
    return encoder.category_logits(model.item_embedding.weight) * encoder.category_temperature


@torch.no_grad()
def intensities(model, sequences: Tensor) -> Tensor:
    """Intensity ``[B, K]`` of the interests after each history of ``[B, T]`` item ids, padded with zeros."""
    items, packing = pack(sequences)
    _, intensity = model.interest_encoder.mean_and_intensity(model.item_embedding(items), packing)
    return intensity[packing.last]
