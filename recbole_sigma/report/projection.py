"""Vectors on a plane."""

from __future__ import annotations

import numpy as np
from sklearn.manifold import TSNE

LEAST_ITEMS = 5
"""Fewer have no neighbourhoods to show."""


def project(vectors: np.ndarray) -> np.ndarray:
    """Place vectors ``[N, D]`` on a plane, ``[N, 2]``, so that those of similar direction are neighbours.

    t-SNE (van der Maaten and Hinton, 2008) of the unit vectors, always the same for the same vectors. Two principal
    components are faster, but draw the categories over each other.

    Raises:
        ValueError: fewer than ``LEAST_ITEMS`` vectors.
    """
    if len(vectors) < LEAST_ITEMS:
        raise ValueError(f"there are {len(vectors)} vectors; expected at least {LEAST_ITEMS}")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    return TSNE(
        perplexity=min(30, (len(unit) - 1) / 3),
        angle=0.7,
        init="pca" if unit.shape[1] > 1 else "random",
        learning_rate="auto",
        random_state=0,
    ).fit_transform(unit.astype(np.float32))
