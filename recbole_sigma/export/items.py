"""Files beside an exported model: names and vectors of its items."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from recbole_sigma.export.names import ITEM_VECTORS, ITEMS
from recbole_sigma.recommend.catalog import Catalog


def write_names(catalog: Catalog, folder: Path) -> None:
    """``tokens``, ``titles`` (null if there are none) and ``popularity`` of the items, by id; id 0 is the padding."""
    titles = catalog.titles.tolist()
    names = {
        "tokens": catalog.tokens.tolist(),
        "titles": titles if any(titles) else None,
        "popularity": catalog.popularity.tolist(),
    }
    (folder / ITEMS).write_text(json.dumps(names, ensure_ascii=False) + "\n", encoding="utf-8")


def write_vectors(model, folder: Path) -> None:
    """The vectors ``[V, D]`` that score the items, in float32."""
    np.save(folder / ITEM_VECTORS, model.item_vectors.detach().float().numpy())
