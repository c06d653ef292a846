"""Seconds of a training epoch and of an evaluation, compared with stock RecBole's SASRec in stock RecBole's own loader.

Run from the root of the repository: ``python -m benchmarks.speed.training --help``. Rounds are interleaved: each round
measures every row once, in its own child process.
"""

from __future__ import annotations

import argparse
import sys
from statistics import median
from typing import NamedTuple

from benchmarks.markdown import markdown_table
from benchmarks.speed.reporting import (
    ChildFailed,
    add_datasets,
    describe_run,
    folder_of,
    make_parser,
    run_child,
    write_section,
)

SECTION = "training"
ROUNDS = 3
DATASETS = ("amazon-beauty", "ml-100k")
STOCK_BATCHES = 12


class Row(NamedTuple):
    name: str
    model: str
    stock: bool = False
    users: int = 256
    precision: str = "auto"
    settings: dict = {}


PLAIN = {"history_average": 0, "item_dropout_prob": 0.0}
FULL = {**PLAIN, "mie_loss": "full"}
BASELINE = Row("RecBole's SASRec, as installed", "SASRec", stock=True, settings={"detect_anomaly": True})
ROWS = [
    BASELINE,
    Row("RecBole's SASRec, repaired", "SASRec", stock=True),
    Row("SIGMA, 256 users a step", "SIGMA", settings=FULL),
    Row("SIGMA, 256 users, float32", "SIGMA", precision="float32", settings=FULL),
    Row("SIGMA, 32 users", "SIGMA", users=32, settings=FULL),
    Row("SASRecAP, 256 users", "SASRecAP", settings=PLAIN),
    Row("SASRecAP, 32 users", "SASRecAP", users=32, settings=PLAIN),
]
NOTE = f"""\
D = 128, inner size 256, 2 heads, histories of at most 50; two layers in SASRec and SASRecAP, one in each of SIGMA's
three Transformers; full softmax over the catalog in all losses; no average of the history and no dropout of whole
items; 256 rows a step in RecBole's SASRec. Matrix products run in bfloat16 if the CPU supports it ("precision: auto"),
except in rows named float32 and in RecBole's SASRec, which runs in float32.

RecBole's rows use its own data set, loader, trainer and evaluator, with this plugin's repairs, without which RecBole
does not run. Their epoch is extrapolated from {STOCK_BATCHES} batches; the other epochs are whole. "As installed" has
autograd's anomaly detection on, which RecBole turns on for the whole process when it imports its sequential models;
"repaired" is the same without it.

An evaluation ranks the catalog for every user's validation item; its time is the faster of two. Peak memory is that of
the whole process. "Of the rate" is the time that the matrix products of the epoch would take at the rate measured in
the same process, divided by the time of the epoch. If the loss uses bfloat16, the rate is that of bfloat16 for all
products, although layers on few rows stay in float32. Numbers are medians over {ROUNDS} interleaved rounds, but peak
memory is the maximum. A ratio is the median of the ratios within the rounds."""


def main(words: list[str]) -> int:
    arguments = parse(words)
    machine = run_child("benchmarks.speed.machine", {"threads": arguments.threads, "quick": arguments.quick})
    parts = [describe_run(machine, "benchmarks.speed.training", words, arguments.output), NOTE]
    print("\n\n".join(parts), flush=True)
    for dataset in arguments.datasets:
        parts.append(report(dataset, machine["device"], arguments))
        print(f"\n{parts[-1]}", flush=True)
    if arguments.output:
        write_section(arguments.output, SECTION, "## Training and evaluation", parts)
    return 0


def parse(words: list[str]) -> argparse.Namespace:
    parser = make_parser("benchmarks.speed.training", __doc__, SECTION, "one round of a few steps")
    add_datasets(parser, DATASETS)
    return parser.parse_args(words)


def report(dataset: str, device: str, arguments: argparse.Namespace) -> str:
    """The heading and the table of a data set."""
    rounds: list[dict[str, dict]] = []
    for _ in range(1 if arguments.quick else ROUNDS):
        rounds.append({row.name: measured(row, dataset, device, arguments) for row in ROWS})
    header = ["", "s an epoch", "of as installed", "of repaired", "targets / s", "of the rate", "peak MB"]
    header += ["s an evaluation", "of as installed"]
    lines = [[row.name, *cells([found[row.name] for found in rounds], rounds)] for row in ROWS]
    return f"### {dataset}\n\n" + markdown_table(header, lines)


def measured(row: Row, dataset: str, device: str, arguments: argparse.Namespace) -> dict:
    settings = {
        "row": row._asdict(),
        "dataset": dataset,
        "data_path": folder_of(dataset, arguments),
        "device": device,
        "threads": arguments.threads,
        "steps": 2 if arguments.quick else STOCK_BATCHES if row.stock else None,
    }
    return run_child("benchmarks.speed.training_row", settings)


def cells(found: list[dict], rounds: list[dict[str, dict]]) -> list[str]:
    """The cells of a row: medians over the rounds, also of its ratios to the two stock rows."""

    def ratio(key: str, stock: Row) -> str:
        value = median(own[key] / others[stock.name][key] for own, others in zip(found, rounds))
        return f"{value:.2f}" if value > 0.3 else f"1/{1 / value:.1f}"

    def middle(value) -> float:
        return median(map(value, found))

    return [
        f"{middle(lambda own: own['epoch']):,.1f}",
        ratio("epoch", ROWS[0]),
        ratio("epoch", ROWS[1]),
        f"{middle(lambda own: own['targets'] / own['epoch']):,.0f}",
        f"{middle(lambda own: own['operations'] / own['rate'] / own['epoch']):.0%}",
        f"{max(own['memory'] for own in found):,.0f}",
        f"{middle(lambda own: own['evaluation']):,.2f}",
        ratio("evaluation", ROWS[0]),
    ]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ChildFailed as error:
        sys.exit(str(error))
