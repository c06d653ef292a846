"""Time and memory of ``recbole_sigma.ops.interest_scan``, compared with its definition and with parts of it.

Run from the root of the repository: ``python -m benchmarks.speed.scan --help``. Rounds are interleaved: each round
measures every row once, in its own child process.
"""

from __future__ import annotations

import argparse
import sys
from statistics import median

from benchmarks.markdown import markdown_table
from benchmarks.speed.reporting import (
    describe_run,
    make_parser,
    run_child,
    write_section,
)

SECTION = "scan"
ROUNDS = 3
CASES = {
    "beauty": {"users": 256, "mean_length": 6, "longest": 50, "k": 4, "d": 128},
    "office-step": {"users": 32, "mean_length": 7, "longest": 50, "k": 4, "d": 64},
    "long": {"users": 32, "mean_length": 200, "longest": 200, "k": 8, "d": 64},
}
ROWS = {
    "naive": "naive",
    "packed": "packed",
    "the GRU of packed alone": "gru",
    "soft sums alone, `cumsum` of padded [B, T, K, D]": "padded_sums",
}
SKIPPED = {("long", "naive")}
NOTE = """\
Forward and backward of the sum of the results. Lengths of histories are drawn from an exponential distribution, at most
T. In "long", all histories have length T, for which the definition would take minutes and gigabytes. Peak memory is
counted above the inputs."""
NO_GPU = "There is no CUDA device, so no Triton scan has been compared with cuDNN's GRU, and there is none yet."


def main(words: list[str]) -> int:
    arguments = parse(words)
    machine = run_child("benchmarks.speed.machine", {"threads": arguments.threads, "quick": arguments.quick})
    parts = [describe_run(machine, "benchmarks.speed.scan", words, arguments.output), NOTE]
    if machine["device"] == "cpu":
        parts.append(NO_GPU)
    print("\n\n".join(parts), flush=True)
    for name, case in CASES.items():
        parts.append(report(name, case, machine["device"], arguments))
        print(f"\n{parts[-1]}", flush=True)
    if arguments.output:
        write_section(arguments.output, SECTION, "## Interests of all prefixes", parts)
    return 0


def parse(words: list[str]) -> argparse.Namespace:
    parser = make_parser("benchmarks.speed.scan", __doc__, SECTION, "one round")
    return parser.parse_args(words)


def report(name: str, case: dict, device: str, arguments: argparse.Namespace) -> str:
    """The heading and the table of a case."""
    found = {row: [] for row in ROWS if (name, row) not in SKIPPED}
    for _ in range(1 if arguments.quick else ROUNDS):
        for row in found:
            settings = {"what": ROWS[row], "case": case, "device": device, "threads": arguments.threads}
            found[row].append(run_child("benchmarks.speed.scan_row", settings))
    rows = [
        [
            row,
            f"{median(t for child in children for t in child['times']):,.2f}",
            f"{min(t for child in children for t in child['times']):,.2f}",
            f"{max(child['memory'] for child in children):,.1f}",
        ]
        for row, children in found.items()
    ]
    items = found["packed"][0]["items"]
    heading = f"### {name}: {case['users']} users, {items:,} items, T = {case['longest']}, K = {case['k']}"
    return f"{heading}, D = {case['d']}\n\n" + markdown_table(["", "ms, median", "ms, least", "peak MB"], rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
