"""What the process that runs a benchmark needs: children of its own, and a Markdown file with sections.

It does not import torch, so that it takes neither cores nor memory from the child that is being measured.
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
    """A child process ended without a result; the message says why in one line."""


def run_child(module: str, arguments: dict, seconds: float | None = None) -> dict:
    """What ``python -m module`` prints as JSON in its last line, given ``arguments`` as JSON, in so many seconds."""
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
    """A Markdown list: date, machine as ``benchmarks.speed.machine`` prints it, versions, command and matrix rates.

    Args:
        words: the command line after the name of the module.
        output: the file that it names; its folder is left out where it begins at the root.
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
    """A file's text, or a title where it is absent."""
    return path.read_text(encoding="utf-8") if path.exists() else TITLE


def replace_section(document: str, name: str, body: str) -> str:
    """``document`` with ``body`` between the lines ``<!-- name -->`` and ``<!-- /name -->``, and all else as it was.

    A section that it lacks comes last.

    Raises:
        ValueError: a section without its last line.
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
    """Put a heading and what stands below it into the section of a file."""
    body = "\n\n".join([heading, *parts])
    path.write_text(replace_section(read_document(path), name, body), encoding="utf-8")


def make_parser(module: str, description: str, section: str, quick: str) -> argparse.ArgumentParser:
    """A parser of the arguments that every benchmark has: ``--quick``, ``--threads`` and ``--output``.

    Args:
        section: of the file that ``--output`` names.
        quick: what ``--quick`` does.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{quick}, to test the benchmark itself")
    parser.add_argument("--threads", type=positive, metavar="N", help="threads of torch (default: its own)")
    parser.add_argument(
        "--output",
        type=partial(section_file, section=section),
        metavar="FILE",
        help=f"Markdown file whose section {section!r} to replace",
    )
    return parser


def section_file(text: str, section: str) -> Path:
    """An argument that names a Markdown file in which ``section`` can be replaced."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}; expected a file in a folder that exists")
    try:
        replace_section(read_document(path), section, "")
    except ValueError as error:  # better known now than when all is measured
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    return path
