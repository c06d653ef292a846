"""What the checkpoint of a trained model holds, and how a model gets its parameters from one."""

from __future__ import annotations

from typing import Any

from torch import nn

from recbole_sigma.config import model_keys
from recbole_sigma.training import checkpoint


def contents(model, config, metadata: dict | None, epoch: int, best_valid_score: float) -> dict[str, Any]:
    """The entries of a checkpoint.

    Args:
        model: of RecBole or the plugin.
        config: all settings of the run.
        metadata: of the data set; see ``data.describe``.
        epoch: after which the parameters are saved.
        best_valid_score: the best result of validation so far.
    """
    other = model.other_parameter().items()  # the state_dict has the modules among them
    return {
        "model": config["model"],
        "config": config.plain_dict(),
        "metadata": metadata,
        "epoch": epoch,
        "best_valid_score": best_valid_score,
        "state_dict": model.state_dict(),
        "other_parameter": {key: value for key, value in other if not isinstance(value, nn.Module)},
    }


def load_into(model, path: str, config, metadata: dict | None) -> None:
    """Load the parameters of a checkpoint into a model.

    Args:
        model: of RecBole or the plugin.
        path: of the checkpoint.
        config: the settings of the model, which must be those of the checkpoint.
        metadata: of the data set, which must be that of the checkpoint; None for any.

    Raises:
        CheckpointError: the file is missing or damaged, or is of another model, other settings or another catalog.
    """
    state = checkpoint.load(path)
    keys = model_keys(type(model))
    settings = {key: value for key, value in config.plain_dict().items() if key in keys}
    checkpoint.restore(model, state, path, config["model"], metadata, settings)
