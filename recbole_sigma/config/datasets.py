"""The data sets that have a name of their own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import recbole

from recbole_sigma.defaults import own_folder, read_yaml


@cache
def known_datasets() -> frozenset[str]:
    """Names of the data sets that RecBole downloads or the plugin has settings for."""
    downloads = read_yaml(Path(recbole.__file__).parent / "properties" / "dataset" / "url.yaml")
    own = (
        path.name[: -len(".yaml")] for path in own_folder("dataset_configs").iterdir() if path.name.endswith(".yaml")
    )
    return frozenset({*downloads, *own})
