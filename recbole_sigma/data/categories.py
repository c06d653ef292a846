"""Categories of items, from the ``.item`` file."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_sigma.data.item_file import column_types, item_file, read_item_column
from recbole_sigma.errors import DataError, close_matches


class ItemCategories(NamedTuple):
    """The pairs of an item and a category of it."""

    item: np.ndarray  # [P], ids of the data set
    category: np.ndarray  # [P], numbers from 0


def read_item_categories(dataset) -> ItemCategories:
    """The categories of the items of a data set, in the column ``category_field``: one (token) or several (token_seq).

    Of an item that comes twice the first row counts, as in RecBole.

    Raises:
        DataError: the file or the column is missing, of another type, or has no category for any item.
    """
    config, id_of_token = dataset.config, dataset.field2token_id[dataset.iid_field]
    path = item_file(dataset)
    item_column, column = _columns(path, dataset.iid_field, config)
    text_of_token = read_item_column(path, config, item_column, column)
    texts = text_of_token.tolist()
    if column.endswith(":token_seq"):
        texts = [text.split(config["seq_separator"]) for text in texts]
    items = [id_of_token.get(token, 0) for token in text_of_token.index]
    pairs = pd.DataFrame({"item": items, "category": texts}).explode("category")
    pairs = pairs[(pairs["item"] > 0) & (pairs["category"] != "")]
    if pairs.empty:
        raise DataError(
            f"{path}: none of the items of {dataset.dataset_name!r} has a category in {config['category_field']!r} "
            "(category_field); expected the item tokens of the .inter file"
        )
    return ItemCategories(pairs["item"].to_numpy(), pd.factorize(pairs["category"])[0])


def _columns(path: str, item_field: str, config) -> tuple[str, str]:
    """The columns of items and of categories as the header names them, ``name:type``."""
    field = config["category_field"]
    wanted = f"Diversity takes the categories of items from its column {field!r} (category_field)"
    if not os.path.isfile(path):
        raise DataError(f"{path} does not exist; {wanted}. Put the file there, or leave Diversity out of metrics")
    types = column_types(path, config)
    for name in (item_field, field):
        if name not in types:
            close = close_matches(name, types)
            raise DataError(
                f"{path} has no column {name!r}; {wanted}; expected one of {', '.join(types)}"
                + (f"; did you mean {close[0]}?" if close else "")
            )
    if types[field] not in ("token", "token_seq"):
        raise DataError(f"{path}: {field} is of the type {types[field]}; {wanted}; expected token or token_seq")
    return f"{item_field}:{types[item_field]}", f"{field}:{types[field]}"
