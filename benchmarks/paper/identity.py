"""What makes two runs the same: model, data set, seed, and the settings that decide the result."""

from __future__ import annotations

import hashlib
import json
from functools import cache

from recbole_sigma.config import Config

VOLATILE = frozenset(
    "model dataset seed data_path checkpoint_dir checkpoint run_id config_files state show_progress verbose encoding "
    "gpu_id use_gpu device worker single_spec local_rank nproc world_size offset ip port "
    "save_dataset dataset_save_path save_dataloaders dataloaders_save_path log_wandb wandb_project "
    "loss_decimal_place title_field resume".split()
)
"""Keys of a configuration that name the run or its surroundings and change no number."""


def resolve(model: str, dataset: str, given: dict) -> dict:
    """All settings that decide the result of a run for which ``given`` is set, as plain data.

    Raises:
        ConfigError: an unknown model or key, or a wrong value.
    """
    return json.loads(_resolve(model, dataset, json.dumps(given)))


@cache
def _resolve(model: str, dataset: str, given: str) -> str:
    return json.dumps(relevant(Config(model, dataset, config_dict=json.loads(given))))


def relevant(config: Config) -> dict:
    """The settings of a configuration that decide the result of its run."""
    return {key: value for key, value in config.plain_dict().items() if key not in VOLATILE}


def digest(model: str, dataset: str, seed: int, settings: dict) -> str:
    """Twelve hexadecimal digits that stand for a run."""
    text = json.dumps([model, dataset, seed, settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_record_of(record: dict, run) -> bool:
    """Whether a record is of a planned run: the same model, data set and seed, and every planned setting in the record.

    A setting that the record lacks makes it another run: today's default need not be what the plugin did before it had
    the setting.
    """
    if any(record[key] != getattr(run, key) for key in ("model", "dataset", "seed")):
        return False
    return run.settings.items() <= record["settings"].items()


def record_of(records: list[dict], run) -> dict | None:
    """The first record of a planned run, or None while it is not done."""
    return next((record for record in records if is_record_of(record, run)), None)
