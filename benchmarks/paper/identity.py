"""The identity of a run: model, data set, seed, and the settings that decide the result."""

from __future__ import annotations

import hashlib
import json
from functools import cache

from recbole_sigma.config import Config

VOLATILE = frozenset(
    "model dataset seed seeds data_path checkpoint_dir checkpoint run_id config_files state show_progress verbose encoding "
    "gpu_id use_gpu device worker single_spec local_rank nproc world_size offset ip port "
    "save_dataset dataset_save_path save_dataloaders dataloaders_save_path log_wandb wandb_project "
    "loss_decimal_place title_field resume".split()
)
"""Keys that change no number, such as names, folders and devices."""

BEFORE = {
    "train_targets": "all",
    "min_history": 1,
    "learning_rate_schedule": "constant",
    "warmup_epochs": 0,
    "drop_duplicates": False,
    "mie_share": 1.0,
    "posterior": "history",
    "free_nats": 0.0,
    "components": "shared",
    "component_share": 0.0,
}
"""Settings that older records lack, with the values that describe what the plugin did then."""


def resolve(model: str, dataset: str, given: dict) -> dict:
    """All settings that decide the result of a run, as plain data.

    Args:
        given: settings of the run; all others are the defaults.

    Raises:
        ConfigError: an unknown model or key, or an invalid value.
    """
    return json.loads(_resolve(model, dataset, json.dumps(given)))


@cache
def _resolve(model: str, dataset: str, given: str) -> str:
    return json.dumps(relevant(Config(model, dataset, config_dict=json.loads(given))))


def relevant(config: Config) -> dict:
    """The settings of a configuration that decide the result of its run."""
    return {key: value for key, value in config.plain_dict().items() if key not in VOLATILE}


def digest(model: str, dataset: str, seed: int, settings: dict) -> str:
    """Hash of a run, twelve hexadecimal digits."""
    text = json.dumps([model, dataset, seed, settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_record_of(record: dict, run) -> bool:
    """Whether a record belongs to a planned run: same model, data set and seed, and it has every planned setting.

    A record that lacks a setting belongs to another run: it is older than the setting, whose default may have changed
    what the plugin does.
    """
    if any(record[key] != getattr(run, key) for key in ("model", "dataset", "seed")):
        return False
    return run.settings.items() <= {**BEFORE, **record["settings"]}.items()


def record_of(records: list[dict], run) -> dict | None:
    """The first record of a planned run, or None if the run is not done."""
    return next((record for record in records if is_record_of(record, run)), None)
