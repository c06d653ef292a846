"""Does what was loaded hold what the model and the evaluation read? Checked before anything is trained."""

from __future__ import annotations

import os

import numpy as np
from recbole.utils import FeatureType

from recbole_sigma.config.needs import Needs, applies, needs_of, reads_labels
from recbole_sigma.errors import ConfigError, DataError, close_matches, did_you_mean

_NUMBERS = (FeatureType.FLOAT, FeatureType.FLOAT_SEQ)


def check_columns(dataset) -> None:
    """Check the columns that settings name against those of the files, before anything is computed of them.

    Raises:
        DataError: a column that is not loaded, or of tokens where numbers are read.
    """
    config, types = dataset.config, dataset.field2type
    numerical = config["numerical_features"]
    of_numbers = {
        "numerical_features": numerical,
        "normalize_field": config["normalize_field"],
        "discretization": config["discretization"],
        "threshold": config["threshold"],
    }
    for key, columns in of_numbers.items():
        for column in columns or ():
            _require_loaded(key, column, types)
            if types[column] not in _NUMBERS:
                raise DataError(f"{key} has {column!r}, a column of tokens; expected columns of numbers")
    for column in config["discretization"] or ():
        if column not in numerical:
            raise DataError(
                f"discretization has {column!r}; expected it in numerical_features as well, as in "
                f"--numerical_features=[{column}]"
            )
    for column in config["threshold"] or ():
        if column not in dataset.inter_feat:
            raise DataError(f"threshold has {column!r}; expected a column of the .inter file that is loaded")
    for pair in (config["preload_weight"] or {}).items():
        for column in pair:
            _require_loaded("preload_weight", column, types)


def _require_loaded(key: str, column: str, loaded) -> None:
    if column not in loaded:
        raise DataError(
            f"{key} has {column!r}; expected some of the columns that are loaded: {', '.join(loaded)}"
            + did_you_mean(close_matches(column, loaded))
        )


def check_loaded(config, dataset) -> None:
    """Check columns, labels and values of settings against a data set that is not split yet.

    Raises:
        ConfigError: settings that do not fit the data.
        DataError: a column that is read is missing.
    """
    needs = needs_of(config)
    _check_features(config, dataset, needs)
    for column in needs.vectors:
        if column not in (config["preload_weight"] or {}):
            raise ConfigError(
                f"preload_weight has no {column!r}, of which {config['model']} reads the vectors; expected the column "
                f"of vectors of an additional file, as in preload_weight: {{{column}: {column[:3]}_vec}}"
            )
    _check_labels(config, dataset)
    if applies(config, needs.at_most_if):
        _check_sizes(config, dataset, needs)


def _check_features(config, dataset, needs: Needs) -> None:
    key = needs.features
    if key is None:
        return
    value = config[key]
    loaded = [] if dataset.item_feat is None else [name for name in dataset.item_feat if name != dataset.iid_field]
    for column in [value] if isinstance(value, str) else value or [None]:
        if column not in loaded:
            path = os.path.join(dataset.dataset_path, f"{dataset.dataset_name}.item")
            raise DataError(
                f"{key} is {value!r}, and {path} has no such column, or load_col leaves it out; expected some of the "
                f"columns that are loaded: {', '.join(loaded) or 'none'}" + did_you_mean(close_matches(column, loaded))
            )
        if dataset.field2type[column] in _NUMBERS and (
            key == "item_attribute" or column not in config["numerical_features"]
        ):
            raise ConfigError(
                f"{key} has {column!r}, a column of numbers; expected "
                + (
                    "a column of tokens"
                    if key == "item_attribute"
                    else f"it in numerical_features as well, as in --numerical_features=[{column}]"
                )
            )


def _check_labels(config, dataset) -> None:
    label, modes = config["LABEL_FIELD"], config["eval_args"]["mode"]
    labeled = "labeled" in modes.values()
    if label not in dataset.inter_feat:
        if reads_labels(config) or labeled:
            raise ConfigError(
                f"{config['model']} needs labels, and no column {label!r} (LABEL_FIELD) of the .inter file is loaded; "
                f"expected threshold, as in --threshold='{{rating: 4}}' with rating in load_col, or a column {label!r} "
                "of 0 and 1 in load_col"
            )
        return
    values = np.unique(np.asarray(dataset.inter_feat[label], dtype=float))
    if not np.isin(values, (0, 1)).all():
        raise ConfigError(
            f"{label!r} (LABEL_FIELD) has the value {values[~np.isin(values, (0, 1))][0]:g}; expected 0 and 1. "
            "threshold makes labels of a column of numbers"
        )
    if 0 not in values:
        return
    way_out = (
        "expected labels of 1 only: leave out the other rows by val_interval, as in {rating: \"[4,inf)\"}, and threshold"
    )
    for phase, mode in modes.items():
        if mode != "labeled":
            raise ConfigError(
                f"mode in eval_args is {mode!r} ({phase}), which takes every row as liked, and rows have the label 0; "
                f"expected mode: labeled, for a model of labels, or {way_out}"
            )
    if config["train_neg_sample_args"]["distribution"] != "none":
        raise ConfigError(
            "train_neg_sample_args draws negatives and takes every row as liked, and rows have the label 0; expected "
            f"train_neg_sample_args: ~, which trains on the labels, or {way_out}"
        )


def _check_sizes(config, dataset, needs: Needs) -> None:
    count = {"users": dataset.user_num - 1, "items": dataset.item_num - 1}
    for key, bounds in needs.at_most.items():
        largest = _largest(key, config[key])
        least = min(count[name] for name in bounds)
        if largest > least:
            raise ConfigError(
                f"{key} is {config[key]}; expected at most {least:,}: {dataset.dataset_name!r} has "
                + " and ".join(f"{count[name]:,} {name}" for name in bounds)
                + " after filtering"
            )


def _largest(key: str, value) -> int:
    try:
        return max(map(int, str(value).split(",")))
    except ValueError:
        raise ConfigError(f"{key} is {value!r}; expected integers, as in 500,100,20") from None
