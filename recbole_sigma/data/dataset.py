"""The data set of a model."""

from __future__ import annotations

import importlib
from functools import cache

from recbole.data.dataset import Dataset, SequentialDataset
from recbole.utils import ModelType

from recbole_sigma.config.needs import check_before_reading
from recbole_sigma.data.ordered_dataset import OrderedDataset
from recbole_sigma.data.sequence_dataset import SequenceDataset
from recbole_sigma.errors import DataError, RecBoleSigmaError


def create_dataset(config) -> Dataset:
    """The data set of a model, of the kind that RecBole chooses, in exact time order and with sequences stored once.

    Args:
        config: the settings, a ``Config``.

    Returns:
        The filtered data set, with ids for tokens; ``create_loaders`` splits it.

    Raises:
        ConfigError: settings that do not fit the model, such as no ``category_field`` where it needs categories.
        DataError: a file is missing or unreadable or lacks a column, or no interaction is left after filtering.
    """
    check_before_reading(config)
    try:
        return dataset_class(config["model"], config["MODEL_TYPE"])(config)
    except RecBoleSigmaError:
        raise
    except (ValueError, NotImplementedError) as error:  # RecBole's errors for settings that do not fit
        raise DataError(f"data set {config['dataset']!r}: {error}") from error


@cache
def dataset_class(model: str, model_type: ModelType) -> type:
    """Class of the data set of a model: RecBole's choice for it, with the behaviour of this module in front.

    Some models have another class in RecBole, which it finds by their type or name, such as ``KnowledgeBasedDataset``
    and ``KSRDataset``. A class for these is made with ``type(...)``, because this module's class has to come before
    RecBole's in the order of inheritance, and RecBole decides which one that is.
    """
    module = importlib.import_module("recbole.data.dataset")
    by_type = {
        ModelType.SEQUENTIAL: "SequentialDataset",
        ModelType.KNOWLEDGE: "KnowledgeBasedDataset",
    }
    stock = getattr(module, f"{model}Dataset", None) or getattr(module, by_type.get(model_type, "Dataset"))
    ours = SequenceDataset if issubclass(stock, SequentialDataset) else OrderedDataset
    return ours if issubclass(ours, stock) else type(stock.__name__, (ours, stock), {})
