"""Categories of items from the ``.item`` file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from recbole_sigma.data.item_file import column_types, item_file, read_item_column
from recbole_sigma.errors import ConfigError, DataError, close_matches

METRIC = "Diversity"


class ItemCategories(NamedTuple):
    """The ``P`` pairs of an item and one of its categories."""

    item: np.ndarray  # [P], ids of the data set
    category: np.ndarray  # [P], numbers from 0


def needed_by_model(config) -> bool:
    """Whether the model itself needs the categories of items."""
    return getattr(config.model_class, "needs_categories", False)


def read_item_categories(dataset, readers: Sequence[str]) -> ItemCategories:
    """The categories of the items of a data set, in the column ``category_field``: one (token) or several (token_seq).

    If an item has several rows, its first one counts, as in RecBole.

    Args:
        dataset: with ids for tokens.
        readers: names of what needs the categories, for messages; such as Diversity and the model.

    Raises:
        ConfigError: ``category_field`` names no column.
        DataError: the file or the column is missing, of another type, or has no category for any item.
    """
    config, id_of_token = dataset.config, dataset.field2token_id[dataset.iid_field]
    path = item_file(dataset)
    item_column, column = _columns(path, dataset.iid_field, config, readers)
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


def _columns(path: str, item_field: str, config, readers: Sequence[str]) -> tuple[str, str]:
    """The columns of items and of categories as the header names them, ``name:type``."""
    field = config["category_field"]
    needed = f"{' and '.join(readers)} {'take' if len(readers) > 1 else 'takes'} the categories of items from"
    if not field:
        raise ConfigError(
            f"{needed} a column of {path}, and category_field is nothing; expected its name, as in "
            "--category_field=genre"
        )
    wanted = f"{needed} its column {field!r} (category_field)"
    if not os.path.isfile(path):
        otherwise = f", or leave {METRIC} out of metrics" if list(readers) == [METRIC] else ""
        raise DataError(f"{path} does not exist; {wanted}. Put the file there{otherwise}")
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
