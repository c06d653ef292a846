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
from recbole.utils import EvaluatorType

from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset
from recbole_sigma.errors import ConfigError
from recbole_sigma.quick_start import run
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
        ``rows``, one per model: what ``run_recbole_sigma`` returns, or ``model``, ``error`` and ``traceback``;
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
        raise ConfigError(
            "checkpoint is for a single model; expected one model, or a comparison without checkpoint"
        )
    if any(config["resume"] for config in configs):
        raise ConfigError("resume is for a single model; expected one model, or a comparison without resume")
    for config in configs:
        check_folders(config["model"], config["checkpoint_dir"])
    create_dataset(configs[0])  # raises an error for files that no model could load
    stem = Path(configs[0]["checkpoint_dir"]) / new_run_id("comparison", dataset)
    versions = {package: version(package) for package in PACKAGES}
    result = {
        "dataset": dataset,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), "recbole_sigma": __version__, **versions},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, on "
        f"{configs[0]['device']}",
        "settings": {"models": list(models), "files": config_file_list, "dict": config_dict, "argv": list(argv)},
        "rows": [],
        "markdown": f"{stem}.md",
        "json": f"{stem}.json",
    }
    for config in configs:
        try:
            row = run(config, saved)
        except Exception as error:
            row = {
                "model": config["model"],
                "error": f"{type(error).__name__}: {error}",
                "traceback": traceback.format_exc(),
            }
            getLogger().error("%s failed: %s", config["model"], row["error"])
        result["rows"].append(row)
        result["table"] = table(result["rows"], configs[0])
        Path(result["markdown"]).write_text(f"# {dataset}\n\n{result['table']}", encoding="utf-8")
        Path(result["json"]).write_text(json.dumps(result, indent=2, default=str) + "\n", encoding="utf-8")
    return result


def table(rows: list[dict], config: Config) -> str:
    """Markdown table of results of ``run_recbole_sigma``, and below it how they were measured."""
    metrics = [f"{metric}@{k}" for k in config["topk"] for metric in config["metrics"]]
    header = ["model", *metrics, "s/epoch", "epochs", "parameters", "seed"]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for row in rows:
        if "error" in row:
            reason = row["error"].replace("|", "\\|").splitlines()[0]
            lines.append([row["model"], f"failed: {reason}", *[""] * (len(header) - 2)])
            continue
        test = row["test_result"] or {}
        lines.append(
            [
                row["model"],
                *(f"{test[metric.lower()]:.4f}" if metric.lower() in test else "" for metric in metrics),
                f"{row['seconds_per_epoch']:.2f}",
                str(row["epochs"]),
                f"{row['parameters']:,}",
                str(row["seed"]),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines)]
    aligned = (
        " | ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        )
        for line in lines
    )
    return "".join(f"| {line} |\n" for line in aligned) + f"\n{evaluation_rule(config)}\n"


def evaluation_rule(config: Config) -> str:
    """One sentence on how the results were measured."""
    ((split, parts),) = config["eval_args"]["split"].items()
    if config["eval_type"] == EvaluatorType.VALUE:
        return f"Test results on labelled rows; split {split}: {parts}."
    mode = config["eval_args"]["mode"]["test"]
    candidates = "all items" if mode == "full" else f"the candidates of mode {mode}, drawn again in each run"
    seen = (
        "items the user had interacted with before are left out (remove_seen: true)"
        if config["remove_seen"]
        else "items the user had interacted with before are ranked as well (remove_seen: false)"
    )
    return f"Test results, ranked among {candidates}; {seen}; split {split}: {parts}."
