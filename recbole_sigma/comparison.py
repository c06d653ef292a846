"""Several models on the same split with the same evaluation, in one table."""

from __future__ import annotations

import json
import os
import platform
import traceback
from datetime import datetime, timezone
from importlib.metadata import version
from logging import getLogger
from pathlib import Path

import torch

from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset
from recbole_sigma.errors import ConfigError
from recbole_sigma.quick_start import run_and_describe
from recbole_sigma.result_table import other_rows, table
from recbole_sigma.training.run_log import check_folders, new_run_id
from recbole_sigma.version import __version__

PACKAGES = ("recbole", "torch", "numpy", "pandas", "scipy")


def compare_models(
    models: list[str],
    dataset: str,
    config_file_list: list[str] | None = None,
    config_dict: dict | None = None,
    saved: bool = True,
    argv: tuple[str, ...] = (),
) -> dict:
    """Train and test each model, and write the table as Markdown and JSON beside the checkpoints.

    Each model takes the settings that it knows; a preset is for its own model alone. The settings of all models are
    checked before the first one trains. A model that fails later is reported in its row, and the others continue. The
    files are rewritten after each model.

    Args:
        models: names of models.
        dataset, config_file_list, config_dict, saved: as in ``run_recbole_sigma``.
        argv: settings as ``--key=value``, which win over all others.

    Returns:
        ``rows``, one per model: what ``run_recbole_sigma`` returns, or ``model``, ``error`` and ``traceback``. The row
        of a model that was not tested on the interactions of the first one says how they differ, as ``other_rows``;
        ``table``, the Markdown; ``markdown`` and ``json``, the paths of the files; and ``dataset``, ``date``,
        ``versions``, ``machine`` and ``settings``.

    Raises:
        ConfigError: no model, a key that no model knows, or an invalid value.
        DataError: files that cannot be loaded.
    """
    if not models:
        raise ConfigError("no model is given to compare; expected names separated by commas, as in SIGMA,SASRec")
    configs = [
        Config(model, dataset, config_file_list, config_dict, argv, companions=[m for m in models if m != model])
        for model in models
    ]
    if any(config["checkpoint"] is not None for config in configs):
        raise ConfigError("checkpoint is for a single model; expected one model, or a comparison without checkpoint")
    if any(config["resume"] for config in configs):
        raise ConfigError("resume is for a single model; expected one model, or a comparison without resume")
    if any(config["seeds"] is not None for config in configs):
        raise ConfigError(
            f"seeds is {configs[0]['seeds']!r} in a comparison of several models; expected one model with seeds, or seed"
        )
    for config in configs:
        check_folders(config["model"], config["checkpoint_dir"])
    create_dataset(configs[0])  # raises an error for files that no model could load
    stem = Path(configs[0]["checkpoint_dir"]) / new_run_id("comparison", dataset)
    result = {
        "dataset": dataset,
        **surroundings(configs[0]),
        "settings": {"models": list(models), "files": config_file_list, "dict": config_dict, "argv": list(argv)},
        "rows": [],
        "markdown": f"{stem}.md",
        "json": f"{stem}.json",
    }
    tested = {}
    for config in configs:
        try:
            row, tested[config["model"]] = run_and_describe(config, saved)
            note = other_rows(row, config["model"], result["rows"], tested)
            row.update({"other_rows": note} if note else {})
        except Exception as error:
            row = failure(config["model"], error)
        result["rows"].append(row)
        result["table"] = table(result["rows"], configs[0])
        write_result(result)
    return result


def surroundings(config: Config) -> dict:
    """``date``, ``versions`` and ``machine`` of a result."""
    versions = {package: version(package) for package in PACKAGES}
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), "recbole_sigma": __version__, **versions},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, on "
        f"{config['device']}",
    }


def failure(model: str, error: Exception, **about) -> dict:
    """The row of a model that failed with the exception that is being handled, which is logged as well."""
    row = {"model": model, **about, "error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    getLogger().error("%s failed: %s", model, row["error"])
    return row


def write_result(result: dict) -> None:
    """Write a result with a ``table`` to its files ``markdown`` and ``json``."""
    Path(result["markdown"]).write_text(f"# {result['dataset']}\n\n{result['table']}", encoding="utf-8")
    Path(result["json"]).write_text(json.dumps(result, indent=2, default=str) + "\n", encoding="utf-8")
