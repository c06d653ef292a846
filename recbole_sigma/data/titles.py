"""Titles of items from the ``.item`` file."""

from __future__ import annotations

import os
from logging import getLogger

import numpy as np

from recbole_sigma.data.item_file import column_types, item_file, read_item_column
from recbole_sigma.errors import DataError, close_matches, did_you_mean


def read_item_titles(dataset) -> np.ndarray | None:
    """Titles ``[V]`` of the items of a data set from the column ``title_field``; empty for items without a title.

    None if there is no such setting, or if the file or column of a default of the plugin is not there.

    Raises:
        DataError: the file is not an atomic file, or lacks the column that the user gives.
    """
    config, path = dataset.config, item_file(dataset)
    field, item_field = config["title_field"], dataset.iid_field
    if not field:
        return None
    given = "title_field" in getattr(config, "external_config_dict", {})  # the plugin's files name it for downloads
    if not os.path.isfile(path):
        if given:
            raise DataError(f"{path} does not exist; title_field = {field!r} is a column of it. Put the file there")
        return None
    types = column_types(path, config)
    for name in (field, item_field):
        if name not in types:
            problem = f"{path} has no column {name!r} for title_field = {field!r}"
            if given:
                raise DataError(
                    f"{problem}; expected one of {', '.join(types)}" + did_you_mean(close_matches(name, types))
                )
            getLogger().warning(f"{problem}, so items are shown by their tokens; it has {', '.join(types)}")
            return None
    item, title = (f"{name}:{types[name]}" for name in (item_field, field))
    title_of_token = read_item_column(path, config, item, title, na_filter=False)  # a title may be "None"
    return np.array(title_of_token.reindex(dataset.field2id_token[item_field]).fillna("").tolist(), dtype=object)
