"""Columns of the ``.item`` file, read separately from RecBole's loading.

Loaded as features by RecBole, they would change the data set: RecBole drops interactions of items that are not in the
    file,
adds items of the file without interactions to the catalog, and copies the columns into every batch.
"""

from __future__ import annotations

import os

import pandas as pd

from recbole_sigma.data.atomic_file import check_atomic_file, explain_failure, read_texts


def item_file(dataset) -> str:
    """Path of the ``.item`` file of a data set, whether it exists or not."""
    return os.path.join(dataset.dataset_path, f"{dataset.dataset_name}.item")


def column_types(path: str, config) -> dict[str, str]:
    """The type of each column of a file.

    Raises:
        DataError: the file is not an atomic file.
    """
    check_atomic_file(path, config["field_separator"], config["encoding"])
    return dict(column.rpartition(":")[::2] for column in _read(path, config, nrows=0))


def read_item_column(path: str, config, item: str, column: str, na_filter: bool = True) -> pd.Series:
    """Texts of a column by item token; the first row of an item counts.

    Args:
        item, column: the columns of the tokens and of the texts, as ``name:type``.
        na_filter: read texts such as ``NA`` as missing ones, as RecBole does; those become empty.
    """
    frame = _read(path, config, usecols=[item, column], na_filter=na_filter).drop_duplicates(item)
    return frame.set_index(item)[column].fillna("")


def _read(path: str, config, **settings) -> pd.DataFrame:
    separator, encoding = config["field_separator"], config["encoding"]
    try:
        return read_texts(path, separator, encoding, **settings)
    except ValueError as error:
        raise explain_failure(path, separator, encoding, error) from error
