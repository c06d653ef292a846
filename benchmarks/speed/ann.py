"""Time and recall of approximate search for the best items of large catalogs, compared with exact search.

Run from the root of the repository: ``python -m benchmarks.speed.ann --help``. Needs the extra ``ann``. Every row is
measured in its own child process.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.markdown import markdown_table
from benchmarks.speed.reporting import describe_run, make_parser, run_child, write_section

SECTION = "ann"
CASES = {
    "100k items": {"items": 100_000, "d": 64, "queries": 1_000},
    "100k items of 128": {"items": 100_000, "d": 128, "queries": 1_000},
    "1m items": {"items": 1_000_000, "d": 64, "queries": 1_000},
}
QUICK = {"quick": {"items": 4_000, "d": 16, "queries": 50}}
PROBES = [16, 32, 64, 128]
ROWS = {
    "exact": ("exact, as `rec.recommend`", []),
    "lists": ("`rec.index`, {} lists", PROBES),
    "lists by product": ("lists by product, {} lists", PROBES),
    "graph": ("graph by product (HNSW, M = 32), efSearch {}", [32, 64, 128, 256]),
}
SKIPPED = {("1m items", "graph")}
NOTE = """\
The search for the 20 items with the largest products: 1,000 queries together (the least of five times) and one query at
a time (the median of 100). The time of the model that computes the queries is not included. Item vectors are synthetic:
they lie around 200 topics, and their lengths differ by a factor of 1.35 (one standard deviation). Recall is the share
of the exact 20 items that is found; `rec.index().recall(histories)` measures it on your own vectors. Build and size are
those of the index. `rec.index` forms its lists by distance, with one more component that makes all item vectors equally
long. The graph of a million items is left out because it takes minutes to build."""


def main(words: list[str]) -> int:
    arguments = parse(words)
    machine = run_child("benchmarks.speed.machine", {"threads": arguments.threads, "quick": arguments.quick})
    parts = [describe_run(machine, "benchmarks.speed.ann", words, arguments.output), NOTE]
    print("\n\n".join(parts), flush=True)
    for name, case in (QUICK if arguments.quick else CASES).items():
        parts.append(report(name, case, arguments.threads))
        print(f"\n{parts[-1]}", flush=True)
    if arguments.output:
        write_section(arguments.output, SECTION, "## Approximate search", parts)
    return 0


def parse(words: list[str]) -> argparse.Namespace:
    return make_parser("benchmarks.speed.ann", __doc__, SECTION, "a small catalog").parse_args(words)


def report(name: str, case: dict, threads: int | None) -> str:
    """The heading and the table of a case."""
    rows = []
    for what, (label, levels) in ROWS.items():
        if (name, what) in SKIPPED:
            continue
        found = run_child(
            "benchmarks.speed.ann_row", {"what": what, "case": case, "levels": levels, "threads": threads}
        )
        for level in found["levels"]:
            rows.append(
                [
                    label.format(level["level"]),
                    f"{level['recall']:.4f}",
                    f"{level['together']:.3f}",
                    f"{level['alone']:.3f}",
                    f"{found['build']:.1f}" if what != "exact" else "",
                    f"{found['size']:,.0f}" if what != "exact" else "",
                ]
            )
    heading = f"### {name}: V = {case['items']:,}, D = {case['d']}"
    header = ["", "recall@20", "ms a query, together", "ms a query, alone", "build s", "MB"]
    return f"{heading}\n\n" + markdown_table(header, rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
