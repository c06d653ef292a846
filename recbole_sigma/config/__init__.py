"""Settings: where they come from, which keys exist, and which values are valid.

Later sources win: RecBole's files, ``properties/overall.yaml``, ``properties/sequential.yaml`` for sequential models,
``properties/next_item.yaml`` for the plugin's models, ``properties/model/<Model>.yaml``,
``dataset_configs/<dataset>.yaml``, the user's files in order, ``config_dict``, the command line.
"""

from typing import TYPE_CHECKING

from recbole_sigma.lazy import lazy_names

if TYPE_CHECKING:
    from recbole_sigma.config.config import Config
    from recbole_sigma.config.datasets import known_datasets
    from recbole_sigma.config.keys import find_model, known_keys, known_models, model_keys

__all__ = ["Config", "find_model", "known_datasets", "known_keys", "known_models", "model_keys"]
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "config": ("Config",),
        "datasets": ("known_datasets",),
        "keys": ("find_model", "known_keys", "known_models", "model_keys"),
    },
)
