"""Titles, categories and vectors of items."""

from __future__ import annotations

import numpy as np

from recbole_sigma.recommend import Recommender
from recbole_sigma.recommend.catalog import Catalog
from recbole_sigma.recommend.interests import learns_categories


def title(catalog: Catalog, id_: int) -> str:
    """The title of an item, or its token where there is none."""
    return str(catalog.titles[id_] or catalog.tokens[id_])


def category_of_items(recommender: Recommender) -> np.ndarray | None:
    """Number of the category of each item ``[V]``, or None for models without categories."""
    if not learns_categories(recommender.model):
        return None
    return recommender.model.category_similarity().argmax(1).cpu().numpy()


def item_vectors(recommender: Recommender) -> np.ndarray | None:
    """Vectors of the items ``[V, D]``; for an average ``item_vectors``. None for models that have neither."""
    model = recommender.model
    weight = getattr(getattr(model, "item_embedding", model), "weight", getattr(model, "item_vectors", None))
    if weight is None or weight.dim() != 2 or len(weight) < len(recommender.catalog) + 1:
        return None
    return weight.detach().cpu().numpy()[: len(recommender.catalog) + 1]
