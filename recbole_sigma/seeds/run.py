"""Train and test a model with each of several seeds, and then their average."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recbole.utils import ModelType

from recbole_sigma.comparison import failure, surroundings, write_result
from recbole_sigma.config import Config
from recbole_sigma.config.reading import split_argv
from recbole_sigma.data import create_dataset, create_loaders, data_fingerprint
from recbole_sigma.errors import ConfigError
from recbole_sigma.quick_start import interrupted_run, run
from recbole_sigma.recommend.members import MEMBERS, write_members
from recbole_sigma.result_table import table
from recbole_sigma.seeds.averaging import validate_and_test
from recbole_sigma.seeds.progress import Progress, find_progress
from recbole_sigma.seeds.summary import notes, spread
from recbole_sigma.training.run_log import check_folders, new_run_id

PREFIX = "seeds"


def run_seeds(
    model: str | type,
    dataset: str,
    seeds: Sequence[int] | None = None,
    config_file_list: list[str] | None = None,
    config_dict: dict | None = None,
    argv: tuple[str, ...] = (),
) -> dict:
    """Train and test a model with each seed, then validate the averages of logits and of probabilities, and test one.

    The average with the better ``valid_metric`` is the one that is tested; the test of the other one is not made. A
    seed that fails is reported in its row, and the others continue; the average is that of the others, if there are two
    at least. The files are rewritten after each seed. With ``resume: true`` an interrupted run continues: seeds that are
    finished are not trained again, and the interrupted one continues where it stopped.

    Args:
        model, dataset, config_file_list, config_dict: as in ``run_recbole_sigma``.
        seeds: at least two different ones; by default the setting ``seeds``.
        argv: settings as ``--key=value``, which win over all others.

    Returns:
        ``rows``, one per seed: what ``run_recbole_sigma`` returns, or ``model``, ``seed``, ``error`` and ``traceback``;
        ``mean`` and ``standard_deviation`` (of a sample) of the test results and of the results of validation;
        ``average``, a row with ``valid_results`` by kind of average, ``average``, the one that was tested, and
        ``checkpoint``, the list of its members, which ``recbole_sigma.load`` takes (None for models that are not
        sequential); None if fewer than two seeds are finished; ``table``, the Markdown; ``markdown`` and ``json``, the
        paths of the files; and ``model``, ``dataset``, ``seeds``, ``date``, ``versions``, ``machine`` and ``settings``.

    Raises:
        ConfigError: an unknown key, an invalid value, or seeds that are not at least two different ones.
        DataError: files that cannot be loaded.
        CheckpointError: what an interrupted run saved is damaged, or of other data.
    """
    given = {**(config_dict or {}), **({} if seeds is None else {"seeds": seeds})}
    overall = Config(model, dataset, config_file_list, given, argv)
    seeds = overall["seeds"]
    _check(overall)

    def config_of(seed: int) -> Config:
        return Config(model, dataset, config_file_list, given, _words_for(argv, seed))

    check_folders(overall["model"], overall["checkpoint_dir"])
    settings = config_of(seeds[0]).plain_dict()
    fingerprint = _fingerprint(config_of(seeds[0]))
    folder = Path(overall["checkpoint_dir"])
    names = PREFIX, overall["model"], overall["dataset"]
    found = find_progress(folder, names, settings, seeds) if overall["resume"] else None
    run_id = found or new_run_id(*names)
    result = {
        "model": overall["model"],
        "dataset": overall["dataset"],
        "seeds": list(seeds),
        **surroundings(overall),
        "settings": {"files": config_file_list, "dict": config_dict, "argv": list(argv)},
        "rows": [],
        "mean": None,
        "standard_deviation": None,
        "average": None,
        "markdown": str(folder / f"{run_id}.md"),
        "json": str(folder / f"{run_id}.json"),
    }
    with Progress(folder, run_id, settings, seeds, fingerprint) as progress:
        finished = progress.finished() if found else {}
        if overall["resume"]:
            for seed in seeds:
                if seed not in finished:
                    interrupted_run(config_of(seed))  # raises an error for one that cannot be resumed
        for seed in seeds:
            row = finished.get(seed) or _run(config_of(seed))
            if seed not in finished and "error" not in row:
                progress.add(seed, row)
            result["rows"].append(row)
            _write(result, overall)
        done = [row for row in result["rows"] if "error" not in row]
        if len(done) > 1:
            result["average"] = _average(config_of(done[0]["seed"]), done, folder / f"{run_id}{MEMBERS}")
            _write(result, overall)
        if len(done) == len(seeds) and "error" not in result["average"]:
            progress.remove()
    return result


def _check(config: Config) -> None:
    if config["seeds"] is None:
        raise ConfigError("no seeds are given; expected at least two, as in --seeds=2020,2021,2022")
    if config["checkpoint"] is not None:
        raise ConfigError("checkpoint is for a single model; expected seeds without checkpoint, or one seed")
    if config["eval_args"]["order"] == "RO":
        raise ConfigError(
            "order in eval_args is 'RO', which divides the interactions differently with each seed, so that an average "
            "would be tested on what has trained its members; expected TO (by time) for seeds"
        )


def _fingerprint(config: Config) -> str:
    """Fingerprint of the interactions; raises the errors of files that cannot be loaded or divided."""
    dataset = create_dataset(config)
    create_loaders(config, dataset)
    return data_fingerprint(dataset)


def _words_for(argv: Sequence[str], seed: int) -> list[str]:
    """The words of a command line for one of the seeds."""
    given, flags = split_argv(argv)
    others = {key: value for key, value in given.items() if key not in ("seed", "seeds")}
    words = [f"--{key}" if key in flags else f"--{key}={value}" for key, value in others.items()]
    return [*words, f"--seed={seed}", "--seeds=~"]


def _run(config: Config) -> dict:
    try:
        return run(config)
    except Exception as error:
        return failure(config["model"], error, seed=config["seed"])


def _average(config: Config, rows: list[dict], path: Path) -> dict:
    """The row of the average; its members are listed at ``path``."""
    seeds, checkpoints = ", ".join(str(row["seed"]) for row in rows), [row["checkpoint"] for row in rows]
    try:
        average = {**validate_and_test(config, rows, path.name[: -len(MEMBERS)]), "seed": seeds, "checkpoint": None}
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            results = {"valid_result": average["best_valid_result"], "test_result": average["test_result"]}
            about = {"seeds": [row["seed"] for row in rows], **results}
            write_members(path, checkpoints, average["average"], about)
            average["checkpoint"] = str(path)
        return average
    except Exception as error:
        return failure(f"average of {len(rows)} {config['model']}", error, seed=seeds)


def _write(result: dict, config: Config) -> None:
    result["mean"], result["standard_deviation"] = spread(result["rows"])
    summary = [
        {"model": name, "test_result": values["test_result"]}
        for name, values in (("mean", result["mean"]), ("standard deviation", result["standard_deviation"]))
        if values is not None
    ]
    if result["average"] is not None:
        summary.append(result["average"])
    result["table"] = table(result["rows"], config, summary, notes(result, config))
    write_result(result)
