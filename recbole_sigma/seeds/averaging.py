"""The averages of trained models, validated and tested as a single model is."""

from __future__ import annotations

from logging import getLogger

from recbole.utils import EvaluatorType, init_seed

from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders, describe
from recbole_sigma.data.held_out import held_out, row_users
from recbole_sigma.data.removed import size_of
from recbole_sigma.errors import DataError, RequestError
from recbole_sigma.evaluation.standard_error import standard_errors
from recbole_sigma.model.average import AVERAGES, average_of
from recbole_sigma.quick_start import floats, num_parameters
from recbole_sigma.training.model_checkpoint import load_into
from recbole_sigma.training.run_log import run_log
from recbole_sigma.training.seen_rules import compare_rules
from recbole_sigma.training.trainer import ResumableTrainer


def validate_and_test(config: Config, rows: list[dict], run_id: str) -> dict:
    """Validate the averages of logits and of probabilities, and test the one with the better result of validation.

    Args:
        config: the settings of the first member.
        rows: the results of the members, with their checkpoints.
        run_id: name of the log.

    Returns:
        The entries of a result of ``run_recbole_sigma`` that an average has; ``average``, the one that was tested; and
        ``valid_results``, those of validation by average.

    Raises:
        DataError: the members were validated or tested on other rows.
    """
    with run_log(config["model"], run_id, config["state"]) as log_file:
        logger = getLogger()
        init_seed(config["seed"], config["reproducibility"])
        dataset = create_dataset(config)
        train_data, valid_data, test_data = create_loaders(config, dataset)
        evaluated = {"validated": held_out(dataset, valid_data), "tested": held_out(dataset, test_data)}
        for phase, own in evaluated.items():
            if any(row[phase]["digest"] != own.counts()["digest"] for row in rows):
                raise DataError(f"the members were not {phase} on the same interactions, so their average cannot be")
        members = _members(config, dataset, train_data, [row["checkpoint"] for row in rows])

        def trainer_of(average: str) -> ResumableTrainer:
            trainer = ResumableTrainer(config, average_of(members, average))
            trainer.eval_collector.data_collect(train_data)
            return trainer

        def evaluate(trainer: ResumableTrainer, loader) -> dict | None:
            return floats(trainer.evaluate(loader, load_best_model=False, show_progress=config["show_progress"]))

        valid_results = {}
        for average in _possible(config) if valid_data else ():
            try:
                valid_results[average] = evaluate(trainer_of(average), valid_data)
            except RequestError as error:  # a member scores one item at a time
                logger.info(f"no average of {average}: {error}")
                continue
            logger.info(f"validation result of the average of {average}: {valid_results[average]}")
        best = _best(valid_results, config["valid_metric"].lower(), config["valid_metric_bigger"])
        trainer, errors = trainer_of(best), None
        if test_data:
            with standard_errors(trainer.evaluator, row_users(test_data)) as errors:
                test_result = evaluate(trainer, test_data)
        else:
            test_result = None
        logger.info(f"test result of the average of {best}: {test_result or 'none, no user is tested'}")
        by_rule = compare_rules(trainer, test_data, test_result)
    valid_result = valid_results.get(best)
    return {
        "model": f"average of {best}",
        "average": best,
        "dataset": config["dataset"],
        "remove_seen": config["remove_seen"],
        "parameters": num_parameters(trainer.model),
        "best_valid_score": valid_result[config["valid_metric"].lower()] if valid_result else None,
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_result": valid_result,
        "valid_results": valid_results,
        "test_result": test_result,
        "test_standard_error": errors,
        "data": size_of(dataset),
        **{phase: own.counts() for phase, own in evaluated.items()},
        **({"test_result_by_rule": by_rule} if by_rule else {}),
        "log": str(log_file),
    }


def _members(config: Config, dataset, train_data, checkpoints: list[str]) -> list:
    """The trained models; each must have the settings and the catalog of this run."""
    metadata, members = describe(dataset, train_data.dataset), []
    for path in checkpoints:
        model = config.model_class(config, train_data.dataset).to(config["device"])
        load_into(model, path, config, metadata)
        members.append(model)
    return members


def _possible(config: Config) -> tuple[str, ...]:
    """Averages that can be validated: probabilities take the scores of all items."""
    whole = config["eval_type"] == EvaluatorType.RANKING and set(config["eval_args"]["mode"].values()) == {"full"}
    return AVERAGES if whole else AVERAGES[:1]


def _best(valid_results: dict[str, dict], metric: str, bigger: bool) -> str:
    """The average that validates best; the first one, logits, if they are equal or there is no validation."""
    sign = 1 if bigger else -1
    return max(valid_results or AVERAGES[:1], key=lambda own: sign * valid_results[own][metric] if valid_results else 0)
