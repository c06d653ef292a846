"""CPU seconds until the plugin is imported, and until a command has recommended items for one history.

Run from the root of the repository: ``python -m benchmarks.speed.imports --checkpoint saved/a.pth``. Every number is
the CPU time of a whole process, started for it alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

from benchmarks.markdown import markdown_table
from benchmarks.speed.reporting import describe_run, make_parser, run_child, write_section

SECTION = "imports"
ROOT = Path(__file__).parents[2]
TORCH = "`import torch`"
NOTE = """\
CPU seconds (user and system) of whole processes, their end included: medians of {rounds} interleaved rounds after one
that is not counted. `recbole-sigma recommend` turns the garbage collector off while it imports, so it can take less
than `import torch`."""
ITEMS = "import recbole_sigma, sys; print(*recbole_sigma.load(sys.argv[1], 'cpu').catalog.tokens[1:4], sep='\\n')"


def main(words: list[str]) -> int:
    arguments = parse(words)
    machine = run_child("benchmarks.speed.machine", {"threads": arguments.threads, "quick": arguments.quick})
    versions = {"now": ROOT, **({"before": arguments.before} if arguments.before else {})}
    rounds = 1 if arguments.quick else arguments.rounds
    found = measure(programs(arguments.checkpoint), versions, rounds, arguments.threads)
    header = ["", *(text for name in versions for text in (name, f"{name}, above torch"))]
    rows = [[label, *(text for name in versions for text in _cells(found[name], label))] for label in found["now"]]
    parts = [
        describe_run(machine, "benchmarks.speed.imports", words, arguments.output),
        NOTE.format(rounds=rounds),
        markdown_table(header, rows),
    ]
    print("\n\n".join(parts), flush=True)
    if arguments.output:
        write_section(arguments.output, SECTION, "## Imports", parts)
    return 0


def parse(words: list[str]) -> argparse.Namespace:
    parser = make_parser("benchmarks.speed.imports", __doc__, SECTION, "one round")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="of a run of recbole-sigma")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="default: %(default)s")
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="source tree of a version to compare with")
    return parser.parse_args(words)


def programs(checkpoint: Path) -> dict[str, list[str]]:
    """Words after ``python`` by the label of their row."""
    checkpoint = checkpoint.resolve()
    items = _run(["-c", ITEMS, str(checkpoint)], ROOT).splitlines()
    command = ["-m", "recbole_sigma"]
    recommend = [*command, "recommend", "--checkpoint", str(checkpoint), "--device", "cpu", "--history", *items]
    return {
        "Python alone": ["-c", "pass"],
        TORCH: ["-c", "import torch"],
        "`import recbole_sigma`": ["-c", "import recbole_sigma"],
        "`from recbole_sigma import load`": ["-c", "from recbole_sigma import load"],
        "`from recbole_sigma import run_recbole_sigma`": ["-c", "from recbole_sigma import run_recbole_sigma"],
        "`recbole-sigma --help`": [*command, "--help"],
        "`recbole-sigma recommend` for one history": recommend,
    }


def measure(
    programs: dict[str, list[str]], versions: dict[str, Path], rounds: int, threads: int | None
) -> dict[str, dict[str, float]]:
    """Median CPU seconds by version and label."""
    seconds = {name: {label: [] for label in programs} for name in versions}
    for number in range(rounds + 1):
        for label, words in programs.items():
            for name, folder in versions.items():
                start = _cpu_of_children()
                _run(words, folder, threads)
                if number:
                    seconds[name][label].append(_cpu_of_children() - start)
    return {name: {label: median(values) for label, values in own.items()} for name, own in seconds.items()}


def _run(words: list[str], folder: Path, threads: int | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder.resolve())}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def _cpu_of_children() -> float:
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _cells(found: dict[str, float], label: str) -> list[str]:
    return [f"{found[label]:.2f}", f"{found[label] - found[TORCH]:+.2f}"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
