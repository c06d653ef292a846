"""Tools of the process that runs a benchmark: child processes, and a Markdown file with sections.

This module does not import torch, so that the parent takes neither cores nor memory from the measured child.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from benchmarks.arguments import positive

TITLE = "# Speed\n"


class ChildFailed(Exception):
    """A child process ended without a result. The message gives the reason in one line."""


def run_child(module: str, arguments: dict, seconds: float | None = None) -> dict:
    """Run ``python -m module`` with ``arguments`` as JSON, and return the JSON of the last line that it prints.

    Raises:
        ChildFailed: it ended with an error, or ran for more than ``seconds``.
    """
    command = [sys.executable, "-m", module, json.dumps(arguments)]
    try:
        child = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"stopped after {seconds:,.0f} s") from None
    if child.returncode < 0:
        raise ChildFailed(f"killed by {signal.Signals(-child.returncode).name}")
    if child.returncode > 0:
        raise ChildFailed((child.stderr.strip() or f"exit code {child.returncode}").splitlines()[-1])
    return json.loads(child.stdout.splitlines()[-1])


def describe_run(machine: dict, module: str, words: list[str], output: Path | None) -> str:
    """A Markdown list of date, machine, versions, command and matrix rates.

    Args:
        machine: the result of ``benchmarks.speed.machine``.
        words: the command line after the name of the module.
        output: the file that it names. Its folder is left out if the path is absolute.
    """
    command = shlex.join(["python", "-m", module, *words])
    if output and output.is_absolute():
        command = command.replace(str(output), output.name)
    flags = ", ".join(f"{flag}: {'yes' if present else 'no'}" for flag, present in machine["flags"].items())
    rates = ", ".join(f"{rate:,.0f} in {name}" for name, rate in machine["rates"].items())
    lines = [
        f"Date: {datetime.now(timezone.utc):%Y-%m-%d}",
        f"CPU: {machine['cpu']}, {machine['cores']} cores, torch on {machine['threads']} of them, "
        f"{machine['memory'] / 1e9:.0f} GB of memory ({flags})",
        f"GPU: {machine['gpu']}",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
        f"Command: `{command}`",
        f"Matrix rates, GFLOP/s: {rates}",
    ]
    return "\n".join(f"- {line}" for line in lines)


def read_document(path: Path) -> str:
    """The text of a file, or a title if there is no file."""
    return path.read_text(encoding="utf-8") if path.exists() else TITLE


def replace_section(document: str, name: str, body: str) -> str:
    """Replace the text between the lines ``<!-- name -->`` and ``<!-- /name -->`` of a document by ``body``.

    A new section is added at the end.

    Raises:
        ValueError: the section has no last line.
    """
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, begins, rest = document.partition(first)
    _, ends, after = rest.partition(last)
    if begins and not ends:
        raise ValueError(f"the section that begins with {first} does not end with {last}")
    if not begins:
        before, after = f"{document.rstrip()}\n\n", "\n"
    return f"{before}{first}\n\n{body}\n\n{last}{after}"


def write_section(path: Path, name: str, heading: str, parts: list[str]) -> None:
    """Write a heading and the parts below it into a section of a file."""
    body = "\n\n".join([heading, *parts])
    path.write_text(replace_section(read_document(path), name, body), encoding="utf-8")


def make_parser(module: str, description: str, section: str, quick: str) -> argparse.ArgumentParser:
    """Make a parser with the arguments of every benchmark: ``--quick``, ``--threads`` and ``--output``.

    Args:
        section: name of the section of the file that ``--output`` names.
        quick: what ``--quick`` measures.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{quick}, to test the benchmark itself")
    parser.add_argument("--threads", type=positive, metavar="N", help="threads of torch (default: torch decides)")
    parser.add_argument(
        "--output",
        type=partial(section_file, section=section),
        metavar="FILE",
        help=f"Markdown file; its section {section!r} is replaced",
    )
    return parser


def add_datasets(parser: argparse.ArgumentParser, default: tuple[str, ...]) -> None:
    """Add the arguments of benchmarks on data sets: ``--datasets`` and ``--data_path``."""
    parser.add_argument("--datasets", nargs="+", default=default, metavar="NAME", help="default: %(default)s")
    parser.add_argument("--data_path", type=Path, metavar="FOLDER", help="folder of the data sets other than ml-100k")


def folder_of(dataset: str, arguments: argparse.Namespace) -> str | None:
    """The folder that contains that of a data set; None for that of the plugin's settings."""
    return None if dataset == "ml-100k" or not arguments.data_path else str(arguments.data_path.resolve())


def section_file(text: str, section: str) -> Path:
    """Parse the path of a Markdown file in which ``section`` can be replaced."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}; expected a file in a folder that exists")
    try:
        replace_section(read_document(path), section, "")
    except ValueError as error:  # known before anything is measured
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    return path
