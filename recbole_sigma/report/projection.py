"""The projection of vectors to a plane."""

from __future__ import annotations

import numpy as np

from recbole_sigma.extras import require

LEAST_ITEMS = 5
"""With fewer items there are no neighbourhoods to show."""


def project(vectors: np.ndarray) -> np.ndarray:
    """Place vectors ``[N, D]`` on a plane, ``[N, 2]``, so that those of similar direction are neighbours.

    t-SNE (van der Maaten and Hinton, 2008) of the unit vectors; the same vectors always give the same result. Two
    principal components are faster, but draw the categories over each other.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        ValueError: fewer than ``LEAST_ITEMS`` vectors.
    """
    if len(vectors) < LEAST_ITEMS:
        raise ValueError(f"there are {len(vectors)} vectors; expected at least {LEAST_ITEMS}")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    tsne = require("sklearn.manifold", "report").TSNE(
        perplexity=min(30, (len(unit) - 1) / 3),
        angle=0.7,
        init="pca" if unit.shape[1] > 1 else "random",
        learning_rate="auto",
        random_state=0,
    )
    return tsne.fit_transform(unit.astype(np.float32))
