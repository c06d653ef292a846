"""The one pipeline: configuration, data, model, training, test."""

from __future__ import annotations

from logging import getLogger
from typing import Any, NamedTuple

from recbole.utils import init_seed

from recbole_sigma.training import checkpoint
from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, describe, data_fingerprint, create_loaders
from recbole_sigma.errors import ConfigError
from recbole_sigma.training.resume import UnfinishedRun, find_unfinished
from recbole_sigma.training.run_log import new_run_id, run_log
from recbole_sigma.training.trainer import can_resume, keeps_state, trainer_class


def run_recbole_sigma(
    model: str | type,
    dataset: str,
    config_file_list: list[str] | None = None,
    config_dict: dict | None = None,
    saved: bool = True,
) -> dict:
    """Train a model, the plugin's or RecBole's, select it by validation, and test it.

    Args:
        model: name of a model, or its class.
        dataset: name of a data set.
        config_file_list: YAML files, later ones win.
        config_dict: settings above those of the files.
        saved: keep the best model as a checkpoint and test that one; otherwise the last one is tested.

    Returns:
        The entries of RecBole's ``run_recbole`` (``best_valid_score``, ``valid_score_bigger``,
        ``best_valid_result``, ``test_result``) and ``model``, ``dataset``, ``seed``, ``remove_seen``, ``parameters``,
        ``epochs``, ``seconds_per_epoch``, ``checkpoint`` and ``log``. The result of validation is the best
        one of the training, or that of the checkpoint.

    Raises:
        RecBoleSigmaError: input that has to be changed; the message says how.
    """
    return run(Config(model, dataset, config_file_list, config_dict), saved)


class RunParts(NamedTuple):
    """What a run consists of: RecBole's data set, the loaders (one of no rows is false), the model and its trainer."""

    dataset: Any
    train_data: Any
    valid_data: Any
    test_data: Any
    model: Any
    trainer: Any


def build_run(config: Config) -> RunParts:
    """Everything up to the first step of training, from the seed of the configuration.

    Args:
        config: the settings.

    Returns:
        What a run consists of.

    Raises:
        RecBoleSigmaError: input that has to be changed; the message says how.
    """
    logger = getLogger()
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    logger.info(dataset)
    loaders = create_loaders(config, dataset)

    init_seed(config["seed"], config["reproducibility"])  # whatever the data drew
    model = config.model_class(config, loaders[0].dataset).to(config["device"])
    logger.info(model, extra={"file_only": True})
    logger.info(f"{config['model']}: {num_parameters(model):,} parameters, on {config['device']}")

    trainer = trainer_class(config)(config, model)
    trainer.metadata = describe(dataset, loaders[0].dataset)
    trainer.eval_collector.data_collect(loaders[0])  # for metrics that count, in runs that do not train
    return RunParts(dataset, *loaders, model, trainer)


def run(config: Config, saved: bool = True) -> dict:
    """``run_recbole_sigma`` for a configuration that exists already."""
    trains = config["checkpoint"] is None
    unfinished = _unfinished(config, trains and saved) if config["resume"] else None
    config["run_id"] = unfinished or new_run_id(config["model"], config["dataset"])
    settings = config.plain_dict()  # before anything adds to them
    with run_log(config["model"], config["run_id"], config["state"]) as log_file:
        logger = getLogger()
        logger.info(config, extra={"file_only": True})
        if config["resume"] and not unfinished:
            logger.info(f"{config['checkpoint_dir']} has no unfinished run to resume: begin with the first epoch")
        parts = build_run(config)
        model, trainer = parts.model, parts.trainer
        if trains and saved and keeps_state(trainer):
            valid_result, test_result = _train_resumably(config, parts, settings, unfinished is not None)
        else:
            valid_result, test_result = _train_and_test(config, parts, trains, trains and saved)
        logger.info(f"best validation result: {valid_result}")
        logger.info(f"test result: {test_result}")

    return {
        "model": config["model"],
        "dataset": config["dataset"],
        "seed": config["seed"],
        "remove_seen": config["remove_seen"],
        "parameters": num_parameters(model),
        "epochs": len(trainer.history),
        "seconds_per_epoch": sum(epoch["seconds"] for epoch in trainer.history) / max(1, len(trainer.history)),
        "best_valid_score": valid_result[config["valid_metric"].lower()] if valid_result else None,
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_result": valid_result,
        "test_result": test_result,
        "checkpoint": config["checkpoint"] or (trainer.saved_model_file if saved else None),
        "log": str(log_file),
    }


def _unfinished(config: Config, is_saved: bool) -> str | None:
    """The run that is to be resumed, or None to begin a new one."""
    if not is_saved:
        raise ConfigError(
            "resume is for the training of runs that are saved; expected no checkpoint, and saved=True, beside it"
        )
    if not can_resume(config):
        raise ConfigError(
            f"resume is not for {config['model']}, whose trainer in RecBole may keep more than is saved; expected a "
            "run from its beginning"
        )
    return find_unfinished(config)


def _train_resumably(
    config: Config, parts: RunParts, settings: dict, resumes: bool
) -> tuple[dict | None, dict | None]:
    """Train and test, with the state of training on the disk until all of it is done."""
    trainer = parts.trainer
    with UnfinishedRun(config["checkpoint_dir"], config["run_id"], settings) as unfinished:
        trainer.unfinished, trainer.data_fingerprint = unfinished, data_fingerprint(parts.dataset)
        if resumes:
            trainer.resume()
        try:
            results = _train_and_test(config, parts, trains=True, saved=True)
        except KeyboardInterrupt:
            if unfinished.path.exists():
                raise KeyboardInterrupt(
                    f"the same command with --model={config['model']} --resume continues in epoch {trainer.epoch}"
                ) from None
            raise
        unfinished.remove()
    return results


def _train_and_test(config: Config, parts: RunParts, trains: bool, saved: bool) -> tuple[dict | None, dict | None]:
    """The results of validation and of the test."""
    trainer, show_progress = parts.trainer, config["show_progress"]
    if trains:
        _, valid_result = trainer.fit(
            parts.train_data, parts.valid_data, saved=saved, show_progress=show_progress
        )
    else:
        trainer.load_model(config["checkpoint"])
        valid_result = trainer.evaluate(parts.valid_data, load_best_model=False, show_progress=show_progress)
    test_result = trainer.evaluate(parts.test_data, load_best_model=saved, show_progress=show_progress)
    valid_result, test_result = _floats(valid_result), _floats(test_result)
    if saved:
        checkpoint.add(
            trainer.saved_model_file, history=trainer.history, valid_result=valid_result, test_result=test_result
        )
    return valid_result, test_result


def num_parameters(model) -> int:
    """Numbers that training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _floats(result: dict | None) -> dict | None:
    return {metric: float(value) for metric, value in result.items()} if result else None
