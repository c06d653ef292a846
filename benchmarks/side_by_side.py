"""The present tree next to that of an older commit, on this machine: whether they compute the same, and what it costs.

Run from the root of the repository: ``python -m benchmarks.side_by_side --commit COMMIT``. Losses, gradients and scores
of the cases of tests/invariants, and the parameters and metrics of short trainings, are compared to the bit; the exit
code is 1 if they differ. ``--time ROUNDS`` compares time and memory instead. Either tree runs in child processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from benchmarks.arguments import positive
from benchmarks.markdown import markdown_table
from benchmarks.speed.reporting import ChildFailed, describe_run, run_child

ROOT = Path(__file__).parents[1]
MODULE = "benchmarks.side_by_side"
SHOWN = 40
"""Differences that are listed."""
SHORT = {"epochs": 1, "MAX_ITEM_LIST_LENGTH": 50}
TRAININGS = {
    "SIGMA": ("SIGMA", SHORT),
    "SIGMA, scorer interests": ("SIGMA", {**SHORT, "scorer": "interests"}),
    "SIGMA, decoder_context interests": ("SIGMA", {**SHORT, "decoder_context": "interests"}),
    "SIGMA, prior standard": ("SIGMA", {**SHORT, "prior": "standard"}),
    "SASRecAP": ("SASRecAP", SHORT),
    "SASRec": ("SASRec", {"epochs": 1, "MAX_ITEM_LIST_LENGTH": 10}),  # RecBole's own; a row for each prefix takes time
    "BPR": ("BPR", {"epochs": 1}),
}
TIMED = ("SIGMA", "SASRecAP")
DATASET, OFFICE = "ml-100k", "amazon-office-products"
RECOMMEND = ["recommend", "--history", "50 181 172", "-k", "5", "--checkpoint"]
OWN_STATE = ": state "
"""In the name of what one tree may have alone: a tensor in the checkpoint of a training."""
NOTE = """\
Medians over the rounds, in which the trees take turns, and of the ratios within a round, with the least and the largest
of them. An epoch is the second one of a training with the default settings on ml-100k. Imports and the recommendation
are processes of their own, measured from the end of `import torch`; peak memory is that of a training and its evaluations."""


class Children(NamedTuple):
    """How child processes run, and where: in a folder that is removed at the end."""

    python: str
    threads: int
    folder: Path

    def run(self, tree: Path, what: str, **arguments: object) -> dict:
        """What a program of ``benchmarks.side_by_side_row`` finds with the code of a tree."""
        task = {"tree": str(tree), "folder": str(self.folder), "what": what, "arguments": arguments}
        command = [self.python, "-m", f"{MODULE}_row", json.dumps(task)]
        done = subprocess.run(command, cwd=ROOT, env=self._environment(), capture_output=True, text=True)
        if done.returncode:
            problem = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise ChildFailed(f"{what} in {tree}: {problem}")
        return json.loads(done.stdout.splitlines()[-1])

    def _environment(self) -> dict[str, str]:
        threads = str(self.threads)
        own = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "CUDA_VISIBLE_DEVICES": ""}
        return {**os.environ, **own, "OMP_WAIT_POLICY": "passive"}  # threads that wait take no time from others


def main(words: list[str]) -> int:
    options = parse(words)
    with checked_out(options.commit) as older, TemporaryDirectory(prefix="side-by-side-") as folder:
        children = Children(options.python, options.threads, Path(folder))
        if options.time:
            print(time_report(older, ROOT, children, options.time, words))
            return 0
        tasks = {} if options.cases else trainings(options.data_path)
        text, same = comparison(*(values_of(tree, children, tasks) for tree in (older, ROOT)))
        print(text)
        return 0 if same else 1


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {MODULE}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--commit", required=True, help="of this repository, that the present tree is compared with")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="interpreter of both (default: this)")
    parser.add_argument("--threads", type=positive, default=2, metavar="N", help="of torch (default: %(default)s)")
    parser.add_argument("--cases", action="store_true", help="compare the cases alone, without trainings")
    parser.add_argument("--data_path", type=Path, metavar="FOLDER", help=f"train on {OFFICE} in it as well")
    parser.add_argument("--time", type=positive, metavar="ROUNDS", help="compare time and memory in so many rounds")
    return parser.parse_args(words)


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with the files of a commit, which is removed afterwards."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True)
    if archive.returncode:
        raise ChildFailed(archive.stderr.decode().strip())
    with TemporaryDirectory(prefix="older-") as folder:
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


# Numbers -------------------------------------------------------------------------------------------------------------


def trainings(data_path: Path | None) -> dict[str, dict]:
    """Arguments of each training by its name."""
    tasks = {
        name: {"model": model, "dataset": DATASET, "settings": settings}
        for name, (model, settings) in TRAININGS.items()
    }
    if data_path:
        settings = {**SHORT, "data_path": str(data_path.resolve())}
        tasks[f"SIGMA on {OFFICE}"] = {"model": "SIGMA", "dataset": OFFICE, "settings": settings}
    return tasks


def values_of(tree: Path, children: Children, tasks: dict[str, dict]) -> dict[str, np.ndarray]:
    """All that is compared, as a tree computes it."""
    path = children.folder / "values.npz"
    children.run(tree, "numbers", trainings=tasks, output=str(path))
    with np.load(path) as values:
        return dict(values)


def comparison(older: Mapping[str, np.ndarray], present: Mapping[str, np.ndarray]) -> tuple[str, bool]:
    """Where the bits differ, in words, and whether they do so nowhere."""
    both = [name for name in older if name in present]
    alone = [name for name in {**older, **present} if (name in older) != (name in present)]
    pairs = {name: (older[name], present[name]) for name in both}
    different = [f"- {name}: {_difference(*pair)}" for name, pair in pairs.items() if not _same(*pair)]
    different += [f"- {name}: only in the {_owner(name, older)} tree" for name in alone if OWN_STATE not in name]
    compared = f"{len(both):,} values compared, of {sum(older[name].size for name in both):,} numbers"
    lines = [f"The bits differ {f'in {len(different):,} places' if different else 'nowhere'}: {compared}."]
    lines += different[:SHOWN]
    if len(different) > SHOWN:
        lines.append(f"- and {len(different) - SHOWN:,} more")
    lines += [f"Not compared, only in the {_owner(name, older)} tree: {name}" for name in alone if OWN_STATE in name]
    return "\n".join(lines), not different


def _owner(name: str, older: Mapping[str, np.ndarray]) -> str:
    return "older" if name in older else "present"


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def _difference(older: np.ndarray, present: np.ndarray) -> str:
    if (older.dtype, older.shape) != (present.dtype, present.shape):
        return f"{older.dtype}{list(older.shape)} and {present.dtype}{list(present.shape)}"
    if older.ndim == 0:
        return f"{older} and {present}"
    largest = np.abs(older.astype(float) - present.astype(float)).max()
    return f"{np.count_nonzero(older != present):,} of {older.size:,} numbers, by {largest:.1e} at most"


# Costs ---------------------------------------------------------------------------------------------------------------


def time_report(older: Path, present: Path, children: Children, rounds: int, words: list[str]) -> str:
    """A table of what the trees take, in Markdown."""
    machine = run_child("benchmarks.speed.machine", {"threads": children.threads, "quick": True})
    recommend = [*RECOMMEND, _epoch(older, children, TIMED[0])["checkpoint"]]
    for tree in (older, present):  # Python compiles its modules
        children.run(tree, "command", words=recommend)
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        ordered = [older, present] if number % 2 == 0 else [present, older]
        for name, costs in _round(ordered, children, recommend).items():
            found.setdefault(name, []).append((costs[older], costs[present]))
    header = ["", "older", "present", "present / older", "least", "largest"]
    table = markdown_table(header, [[name, *_cells(pairs)] for name, pairs in found.items()])
    return "\n\n".join([describe_run(machine, MODULE, words, None), NOTE, table])


def _round(ordered: list[Path], children: Children, words: list[str]) -> dict[str, dict[Path, float]]:
    """What each tree takes, by the name of the row; ``words`` are those of a recommendation."""
    costs: dict[str, dict[Path, float]] = {}
    for model in TIMED:
        for tree in ordered:
            epoch = _epoch(tree, children, model)
            costs.setdefault(f"{model}, an epoch, CPU s", {})[tree] = epoch["cpu"]
            costs.setdefault(f"{model}, peak MB", {})[tree] = epoch["memory"]
    programs = {
        "`import recbole_sigma`, CPU s": ("imports", {"name": "recbole_sigma"}),
        "`recbole-sigma recommend`, CPU s": ("command", {"words": words}),
    }
    for name, (what, arguments) in programs.items():
        costs[name] = {tree: children.run(tree, what, **arguments)["cpu"] for tree in ordered}
    return costs


def _epoch(tree: Path, children: Children, model: str) -> dict:
    return children.run(tree, "epoch", model=model, dataset=DATASET, settings={})


def _cells(pairs: list[tuple[float, float]]) -> list[str]:
    """Medians of both and of their ratio, its least and its largest value."""
    ratios = [present / older for older, present in pairs]
    medians = [median(values) for values in zip(*pairs)]
    return [f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in medians] + [
        f"{value:.3f}" for value in (median(ratios), min(ratios), max(ratios))
    ]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ChildFailed as error:
        print(error, file=sys.stderr)
        sys.exit(2)
