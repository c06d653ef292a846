"""Time and memory of loading synthetic interactions, compared with RecBole's own loader.

Run from the root of the repository: ``python -m benchmarks.speed.scale --help``. Every repeat runs in its own child
process. The file of each size is written once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from statistics import median

from benchmarks.arguments import positive
from benchmarks.markdown import markdown_table
from benchmarks.speed.reporting import (
    ChildFailed,
    describe_run,
    make_parser,
    run_child,
    write_section,
)

SECTION = "scale"
SIZES, STOCK_SIZES = [2_000_000, 20_000_000], [200_000, 2_000_000]
QUICK_SIZE = 20_000
HEADER = ["interactions", "loader", "seconds, median", "seconds, least", "peak MB", "left by the 5-core"]
NOTE = """\
From the atomic file to the loaders of training, validation and test: user, item and time of each interaction, 5-core of
users and items, exact time order, leave-one-out, histories of at most 50 items. Interactions are synthetic and in
random order. The activity of users follows a Lomax distribution, and the popularity of items falls with the square of
their rank. There are as many interactions per user and per item as in MovieLens-20M. Peak memory is that of the whole
process, of which Python, PyTorch and RecBole take about 350 MB. "recbole" is RecBole's own `create_dataset` and
`data_preparation`. They write a padded row for each prefix, and need the repairs of `recbole_sigma.compat` to run on
these versions, among them the fast file reader. A process that takes over {memory:,} GB or {time:,} s is stopped."""


def main(words: list[str]) -> int:
    arguments = parse(words)
    machine = run_child("benchmarks.speed.machine", {"threads": arguments.threads, "quick": arguments.quick})
    run = describe_run(machine, "benchmarks.speed.scale", words, arguments.output)
    parts = [run, NOTE.format(memory=arguments.memory_limit, time=arguments.time_limit)]
    print("\n\n".join(parts), flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sorted({*arguments.sizes, *arguments.stock_sizes}):
            name = f"synthetic-{size}"
            run_child("benchmarks.speed.scale_data", {"folder": folder, "name": name, "size": size, "seed": 0})
            loaders = {"recbole_sigma": arguments.sizes, "recbole": arguments.stock_sizes}
            for loader in (loader for loader, sizes in loaders.items() if size in sizes):
                rows.append([f"{size:,}", loader, *measure(loader, folder, name, arguments)])
                print(f"{' '.join(rows[-1])}", file=sys.stderr, flush=True)
    parts.append(markdown_table(HEADER, rows))
    print(f"\n{parts[-1]}", flush=True)
    if arguments.output:
        write_section(arguments.output, SECTION, "## Loading", parts)
    return 0


def parse(words: list[str]) -> argparse.Namespace:
    parser = make_parser("benchmarks.speed.scale", __doc__, SECTION, "small files")
    parser.add_argument("--sizes", type=positive, nargs="+", metavar="N", help=f"interactions (default: {SIZES})")
    parser.add_argument(
        "--stock_sizes", type=positive, nargs="*", metavar="N", help=f"those for RecBole (default: {STOCK_SIZES})"
    )
    parser.add_argument("--repeats", type=positive, default=3, metavar="N", help="processes for each row (default: 3)")
    parser.add_argument("--memory_limit", type=positive, default=16, metavar="GB", help="of each process (default: 16)")
    parser.add_argument("--time_limit", type=positive, default=600, metavar="S", help="of each process (default: 600)")
    arguments = parser.parse_args(words)
    if arguments.sizes is None:
        arguments.sizes = [QUICK_SIZE] if arguments.quick else SIZES
    if arguments.stock_sizes is None:
        arguments.stock_sizes = [QUICK_SIZE] if arguments.quick else STOCK_SIZES
    return arguments


def measure(loader: str, folder: str, name: str, arguments: argparse.Namespace) -> list[str]:
    """The cells of a row after the first two, or the reason why there are no numbers."""
    settings = {"loader": loader, "folder": folder, "name": name}
    settings.update(threads=arguments.threads, memory_limit=arguments.memory_limit)
    try:
        found = [
            run_child("benchmarks.speed.scale_row", settings, arguments.time_limit) for _ in range(arguments.repeats)
        ]
    except ChildFailed as error:
        return [str(error)] + [""] * (len(HEADER) - 3)
    seconds = [child["seconds"] for child in found]
    return [
        f"{median(seconds):,.1f}",
        f"{min(seconds):,.1f}",
        f"{median(child['memory'] for child in found):,.0f}",
        f"{found[0]['left']:,}",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
