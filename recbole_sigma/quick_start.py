"""The one pipeline: configuration, data, model, training, test."""

from __future__ import annotations

from logging import getLogger
from typing import Any, NamedTuple

from recbole.utils import init_seed

from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders, data_fingerprint, describe
from recbole_sigma.data.held_out import HeldOut, evaluated_users, held_out, row_users
from recbole_sigma.data.removed import size_of
from recbole_sigma.deprecation import renamed
from recbole_sigma.errors import ConfigError
from recbole_sigma.evaluation.standard_error import standard_errors
from recbole_sigma.training import checkpoint
from recbole_sigma.training.resume import ResumableRun, find_interrupted
from recbole_sigma.training.run_log import check_folders, new_run_id, run_log
from recbole_sigma.training.saving import StateSaver
from recbole_sigma.training.seen_rules import compare_rules
from recbole_sigma.training.trainer import can_resume, has_state, trainer_class

__getattr__ = renamed(
    __name__, {"prepare": "recbole_sigma.quick_start:build_run", "Prepared": "recbole_sigma.quick_start:RunParts"}
)


def run_recbole_sigma(
    model: str | type,
    dataset: str,
    config_file_list: list[str] | None = None,
    config_dict: dict | None = None,
    saved: bool = True,
) -> dict:
    """Train a model of the plugin or of RecBole, choose its best epoch by validation, and test it.

    Args:
        model: name of a model, or its class.
        dataset: name of a data set.
        config_file_list: YAML files; later ones win.
        config_dict: settings, which win over those of the files.
        saved: save the best epoch as a checkpoint and test it; otherwise the last epoch is tested.

    Returns:
        The entries of RecBole's ``run_recbole`` (``best_valid_score``, ``valid_score_bigger``,
        ``best_valid_result``, ``test_result``) and ``model``, ``dataset``, ``seed``, ``remove_seen``, ``parameters``,
        ``epochs``, ``seconds_per_epoch``, ``checkpoint`` and ``log``. The result of validation is that of the best
        epoch, or of the checkpoint that was tested. ``test_standard_error`` has the standard error over users of each
        metric that is a mean over users; ``data``, ``validated`` and ``tested`` say what was evaluated: numbers of
        users, rows, targets and repeats, users left out by the reason, and a digest of the pairs. Without users who
        are validated or tested, the result of that phase is None. If items seen before are removed and more than 1 % of
        the test targets are repeats, ``test_result_by_rule`` has the metrics under each rule of ``data.seen``:
        ``removed``, ``kept`` and ``recbole``.

    Raises:
        RecBoleSigmaError: the input must be changed; the message says how.
    """
    return run(Config(model, dataset, config_file_list, config_dict), saved)


class RunParts(NamedTuple):
    """What a run consists of: RecBole's data set, the loaders (None where there are no rows), the model and its trainer."""

    dataset: Any
    train_data: Any
    valid_data: Any
    test_data: Any
    model: Any
    trainer: Any


def build_run(config: Config) -> RunParts:
    """Load the data and build the model and its trainer, as they are before the first step of training.

    Args:
        config: the settings; all random numbers follow from its seed.

    Returns:
        The parts of the run.

    Raises:
        RecBoleSigmaError: the input must be changed; the message says how.
    """
    logger = getLogger()
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    logger.info(dataset)
    loaders = create_loaders(config, dataset)

    init_seed(config["seed"], config["reproducibility"])  # again: loading may draw random numbers
    model = config.model_class(config, loaders[0].dataset).to(config["device"])
    logger.info(model, extra={"file_only": True})
    logger.info(f"{config['model']}: {num_parameters(model):,} parameters, on {config['device']}")

    trainer = trainer_class(config)(config, model)
    trainer.metadata = describe(dataset, loaders[0].dataset)
    trainer.eval_collector.data_collect(loaders[0])  # counts for metrics, also in runs without training
    return RunParts(dataset, *loaders, model, trainer)


def run(config: Config, saved: bool = True) -> dict:
    """``run_recbole_sigma`` for a ``Config``."""
    return run_and_describe(config, saved)[0]


def run_and_describe(config: Config, saved: bool = True) -> tuple[dict, HeldOut]:
    """What ``run`` returns, and the rows of its test, so that those of two models can be compared."""
    if config["seeds"] is not None:
        raise ConfigError(
            f"seeds is {config['seeds']!r}, which trains several models; expected run_seeds, or seed for one"
        )
    check_folders(config["model"], config["checkpoint_dir"])
    trains = config["checkpoint"] is None
    interrupted = interrupted_run(config, trains and saved) if config["resume"] else None
    config["run_id"] = interrupted or new_run_id(config["model"], config["dataset"])
    settings = config.plain_dict()  # before the data set or the model adds any
    with run_log(config["model"], config["run_id"], config["state"]) as log_file:
        logger = getLogger()
        logger.info(config, extra={"file_only": True})
        if config["resume"] and not interrupted:
            logger.info(f"{config['checkpoint_dir']} has no interrupted run to resume: begin with the first epoch")
        parts = build_run(config)
        model, trainer = parts.model, parts.trainer
        evaluated = {
            "validated": held_out(parts.dataset, parts.valid_data),
            "tested": held_out(parts.dataset, parts.test_data),
        }
        for phase, rows in evaluated.items():
            logger.info(evaluated_users(phase, rows.counts()))
        not_validated = "eval_step is 0" if not config["eval_step"] else "no user is validated"
        if trains and not (evaluated["validated"].users and config["eval_step"]):
            logger.warning(
                f"{not_validated}, so there is nothing to choose the best epoch by: the last epoch is kept and tested, "
                f"after all {config['epochs']} epochs"
            )
        if not evaluated["tested"].users:
            logger.warning("no user is tested: the model is trained and saved, and there is no test result")
        if trains and saved and has_state(trainer):
            valid_result, test_result, errors = _train_resumably(
                config, parts, settings, resumes=interrupted is not None
            )
        else:
            valid_result, test_result, errors = _train_and_test(config, parts, trains, trains and saved)
        logger.info(f"best validation result: {valid_result or f'none, {not_validated}'}")
        logger.info(f"test result: {test_result or 'none, no user is tested'}")
        if errors:
            rounded = {name: round(error, config["metric_decimal_place"]) for name, error in errors.items()}
            logger.info(f"standard error over users: {rounded}")
        by_rule = compare_rules(trainer, parts.test_data, test_result)

    result = {
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
        "test_standard_error": errors,
        "data": size_of(parts.dataset),
        **{phase: rows.counts() for phase, rows in evaluated.items()},
        **({"test_result_by_rule": by_rule} if by_rule else {}),
        "checkpoint": config["checkpoint"] or (trainer.saved_model_file if saved else None),
        "log": str(log_file),
    }
    return result, evaluated["tested"]


def interrupted_run(config: Config, is_saved: bool = True) -> str | None:
    """Name of the run that ``resume`` continues, or None to begin a new one.

    Raises:
        ConfigError: the run cannot be resumed, or there are interrupted runs and all have other settings.
        CheckpointError: the state of an interrupted run is damaged.
    """
    if not is_saved:
        raise ConfigError("resume is for training that is saved; expected no checkpoint, and saved=True, beside it")
    if not can_resume(config):
        raise ConfigError(
            f"resume is not for {config['model']}: its trainer in RecBole may need more than the state that is saved; "
            "expected a run from its beginning"
        )
    return find_interrupted(config)


def _train_resumably(
    config: Config, parts: RunParts, settings: dict, resumes: bool
) -> tuple[dict | None, dict | None, dict | None]:
    """Train and test; until both are finished, the state of the run is on the disk."""
    trainer, loaders = parts.trainer, [loader for loader in (parts.train_data, parts.valid_data) if loader]
    with ResumableRun(config["checkpoint_dir"], config["run_id"], settings) as run:
        trainer.saver = StateSaver(trainer, loaders, run, data_fingerprint(parts.dataset))
        if resumes:
            trainer.saver.resume()
        try:
            results = _train_and_test(config, parts, trains=True, saved=True)
        except KeyboardInterrupt:
            if run.path.exists():
                raise KeyboardInterrupt(
                    f"repeat the command with --model={config['model']} --resume to continue in epoch {trainer.epoch}"
                ) from None
            raise
        run.remove()
    return results


def _train_and_test(
    config: Config, parts: RunParts, trains: bool, saved: bool
) -> tuple[dict | None, dict | None, dict | None]:
    """Results of validation and test, and the standard errors of the test."""
    trainer, show_progress = parts.trainer, config["show_progress"]
    if trains:
        _, valid_result = trainer.fit(parts.train_data, parts.valid_data, saved=saved, show_progress=show_progress)
    else:
        trainer.load_model(config["checkpoint"])
        valid_result = trainer.evaluate(parts.valid_data, load_best_model=False, show_progress=show_progress)
    errors = None
    if parts.test_data:
        with standard_errors(trainer.evaluator, row_users(parts.test_data)) as errors:
            test_result = trainer.evaluate(parts.test_data, load_best_model=saved, show_progress=show_progress)
    else:
        test_result = None
    valid_result, test_result = floats(valid_result), floats(test_result)
    if saved:
        checkpoint.add(
            trainer.saved_model_file, history=trainer.history, valid_result=valid_result, test_result=test_result
        )
    return valid_result, test_result, errors


def num_parameters(model) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def floats(result: dict | None) -> dict | None:
    """The metrics of RecBole's evaluation as plain numbers."""
    return {metric: float(value) for metric, value in result.items()} if result else None
