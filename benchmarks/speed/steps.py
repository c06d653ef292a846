"""CPU time of a training step of SIGMA, compared with SASRecAP's on the same batch, both with the shipped settings.

Run from the root of the repository: ``python -m benchmarks.speed.steps --help``. All models are in one process, where
they take turns on each batch, so that a busy machine slows all of them.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.arguments import positive
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

SECTION = "steps"
DATASETS = ("ml-100k", "amazon-beauty")
BATCHES = 20
ROWS = {
    "SASRecAP": ("SASRecAP", {}),
    "SIGMA": ("SIGMA", {}),
    "SIGMA, mie_share 1": ("SIGMA", {"mie_share": 1.0}),
    "SIGMA, prior standard": ("SIGMA", {"prior": "standard"}),
}
NOTE = """\
Forward, backward and optimizer of a step, in CPU time of the process. A ratio is the median over the batches of the
ratio to SASRecAP's step on the same batch."""


def main(words: list[str]) -> int:
    arguments = parse(words)
    machine = run_child("benchmarks.speed.machine", {"threads": arguments.threads, "quick": arguments.quick})
    parts = [describe_run(machine, "benchmarks.speed.steps", words, arguments.output), NOTE]
    print("\n\n".join(parts), flush=True)
    for dataset in arguments.datasets:
        parts.append(report(dataset, arguments))
        print(f"\n{parts[-1]}", flush=True)
    if arguments.output:
        write_section(arguments.output, SECTION, "## A training step", parts)
    return 0


def parse(words: list[str]) -> argparse.Namespace:
    parser = make_parser("benchmarks.speed.steps", __doc__, SECTION, "two batches")
    add_datasets(parser, DATASETS)
    parser.add_argument("--batches", type=positive, default=BATCHES, help="default: %(default)s")
    return parser.parse_args(words)


def report(dataset: str, arguments: argparse.Namespace) -> str:
    """The heading and the table of a data set."""
    found = run_child(
        "benchmarks.speed.steps_row",
        {
            "rows": ROWS,
            "dataset": dataset,
            "data_path": folder_of(dataset, arguments),
            "threads": arguments.threads,
            "batches": 2 if arguments.quick else arguments.batches,
        },
    )
    lines = [[row, f"{one['ms']:,.1f}", f"{one['ratio']:.2f}"] for row, one in found["rows"].items()]
    heading = f"### {dataset}: {found['items']:,} items a step, mean of {found['batches']} batches"
    return f"{heading}\n\n" + markdown_table(["", "ms of CPU, median", "of SASRecAP"], lines)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ChildFailed as error:
        sys.exit(str(error))
