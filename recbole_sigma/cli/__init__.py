"""The command line: ``recbole-sigma`` and ``run_recbole_sigma.py``.

A first word that names a command leads to its module; anything else trains and tests models.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from recbole_sigma.errors import RecBoleSigmaError
from recbole_sigma.version import __version__

COMMANDS = ("recommend", "explain", "report", "export", "prepare")
"""Each a module here with ``add_arguments(parser)`` and ``run(options)``, which returns the exit code.

They import what they run inside functions: the help and a wrong option need no library.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        print(
            f"error: {words[0]!r} is no command; expected {', '.join(COMMANDS)}, or --model=... to train",
            file=sys.stderr,
        )
        return 2
    name = words.pop(0) if words and words[0] in COMMANDS else "train"
    command = import_module(f"recbole_sigma.cli.{name}")
    options = _parse(name, command, words)
    try:
        return command.run(options)
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
        return 0
    except (RecBoleSigmaError, OSError) as error:  # of the operating system: no permission, no space
        if options.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"interrupted; {str(interrupt) or 'what was saved is kept'}", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            raise
        print(f"unexpected {type(error).__name__}: {error}\n--debug shows where", file=sys.stderr)
        return 1


def _parse(name: str, command, words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "recbole-sigma" if name == "train" else f"recbole-sigma {name}",
        description=command.__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--version", action="version", version=__version__)
    if name != "train":
        return parser.parse_args(words)
    options, options.settings = parser.parse_known_args(words)
    return options
