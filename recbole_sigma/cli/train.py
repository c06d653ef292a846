"""Train sequential recommenders in RecBole, select them by validation, and test them."""

from __future__ import annotations

import argparse

from recbole_sigma.cli.garbage import without_garbage_collection

USAGE = """\
recbole-sigma --model=SIGMA --dataset=ml-100k [--key=value ...]
       recbole-sigma --model=SIGMA --dataset=ml-100k --seeds=2020,2021,2022
       recbole-sigma --model=SIGMA,SASRec,BPR --dataset=amazon-beauty --data_path=dataset
       recbole-sigma recommend|explain|report|export|prepare --help"""

EPILOG = """\
Every other --key=value (or --key value) is a setting, above those of the files; an unknown one is refused.
Exit codes: 0 done, 1 a model of a comparison, a seed or the program failed, 2 bad input, 130 interrupted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage, parser.epilog = USAGE, EPILOG
    parser.add_argument("--model", help="SIGMA, any model of RecBole, or several with commas between")
    parser.add_argument("--dataset", help="name of a data set: a folder of atomic files in data_path")
    parser.add_argument("--config_files", default="", help="YAML files, spaces between; later ones win")


def run(options: argparse.Namespace) -> int:
    with without_garbage_collection():
        from recbole.utils import ModelType

        from recbole_sigma.comparison import compare_models
        from recbole_sigma.config import Config
        from recbole_sigma.quick_start import run as run_model
        from recbole_sigma.result_table import table
        from recbole_sigma.seeds import run_seeds

    files = options.config_files.split()
    if "," in (options.model or ""):
        models = [model.strip() for model in options.model.split(",") if model.strip()]
        result = compare_models(models, options.dataset, files, argv=tuple(options.settings))
        print(f"\n{result['table']}\ntable: {result['markdown']}, {result['json']}")
        return 1 if any("error" in row for row in result["rows"]) else 0
    config = Config(options.model, options.dataset, files, argv=options.settings)
    if config["seeds"] is not None:
        result = run_seeds(options.model, options.dataset, None, files, argv=tuple(options.settings))
        average = result["average"] or {}
        print(f"\n{result['table']}\ntable: {result['markdown']}, {result['json']}")
        if average.get("checkpoint"):
            _print_use(average["checkpoint"])
        return 1 if any("error" in row for row in (*result["rows"], average)) else 0
    result = run_model(config)
    print(f"\n{table([result], config)}\ncheckpoint: {result['checkpoint']}\nlog: {result['log']}")
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        _print_use(result["checkpoint"])
    return 0


def _print_use(checkpoint: str) -> None:
    print(f"use it: recbole-sigma recommend --checkpoint {checkpoint} --history 'ITEM ITEM ...'")
