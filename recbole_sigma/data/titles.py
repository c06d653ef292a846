"""Titles of items from the ``.item`` file."""

from __future__ import annotations

import os
from logging import getLogger

import numpy as np

from recbole_sigma.data.item_file import column_types, item_file, read_item_column


def read_item_titles(dataset) -> np.ndarray | None:
    """Titles ``[V]`` of the items of a data set from the column ``title_field``; empty for items without a title.

    None if there is no such setting, file or column: models do not need titles.

    Raises:
        DataError: the file is not an atomic file.
    """
    config, path = dataset.config, item_file(dataset)
    field, item_field = config["title_field"], dataset.iid_field
    if not field or not os.path.isfile(path):
        return None
    types = column_types(path, config)
    for name in (field, item_field):
        if name not in types:
            getLogger().warning(
                f"{path} has no column {name!r} for title_field = {field!r}, so items are shown by their tokens; "
                f"it has {', '.join(types)}"
            )
            return None
    item, title = (f"{name}:{types[name]}" for name in (item_field, field))
    title_of_token = read_item_column(path, config, item, title, na_filter=False)  # a title may be "None"
    return np.array(title_of_token.reindex(dataset.field2id_token[item_field]).fillna("").tolist(), dtype=object)
