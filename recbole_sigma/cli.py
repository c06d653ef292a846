"""The command line: ``recbole-sigma`` and ``run_recbole_sigma.py``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from recbole_sigma.comparison import compare_models, table
from recbole_sigma.config import Config
from recbole_sigma.errors import RecBoleSigmaError
from recbole_sigma.quick_start import run
from recbole_sigma.version import __version__

USAGE = """\
recbole-sigma --model=SIGMA --dataset=ml-100k [--key=value ...]
       recbole-sigma --model=SIGMA,SASRec,BPR --dataset=amazon-beauty --data_path=dataset"""

EPILOG = """\
Every other --key=value (or --key value) is a setting, above those of the files; an unknown one is refused.
Exit codes: 0 done, 1 a model of a comparison or the program failed, 2 bad input, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    options, settings = _parser().parse_known_args(sys.argv[1:] if argv is None else argv)
    try:
        return _run(options, settings)
    except (RecBoleSigmaError, OSError) as error:  # of the operating system: no permission, no space
        if options.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was saved is kept", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            raise
        print(f"unexpected {type(error).__name__}: {error}\n--debug shows where", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "recbole-sigma",
        USAGE,
        "Train sequential recommenders in RecBole, select them by validation, and test them.",
        EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", help="SIGMA, any model of RecBole, or several with commas between")
    parser.add_argument("--dataset", help="name of a data set: a folder of atomic files in data_path")
    parser.add_argument("--config_files", default="", help="YAML files, spaces between; later ones win")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _run(options: argparse.Namespace, settings: list[str]) -> int:
    files = options.config_files.split()
    if "," in (options.model or ""):
        models = [model.strip() for model in options.model.split(",") if model.strip()]
        result = compare_models(models, options.dataset, files, argv=tuple(settings))
        print(f"\n{result['table']}\ntable: {result['markdown']}, {result['json']}")
        return 1 if any("error" in row for row in result["rows"]) else 0
    config = Config(options.model, options.dataset, files, argv=settings)
    result = run(config)
    print(f"\n{table([result], config)}\ncheckpoint: {result['checkpoint']}\nlog: {result['log']}")
    return 0
