"""Time, memory and FLOP/s of the operations in ``recbole_sigma.ops``, compared with plain PyTorch and other kernels.

Run from the root of the repository: ``python -m benchmarks.speed.ops --help``. Rounds are interleaved: each round
measures every row once, in its own child process, so that a machine that is slower for a while slows down all rows.
Ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple, Optional

from benchmarks.markdown import markdown_table
from benchmarks.speed.reporting import (
    ChildFailed,
    describe_run,
    make_parser,
    run_child,
    write_section,
)

SECTION = "ops"
SAMPLES = 1024
SAMPLED_FROM = 100_000
"""The sampled loss is measured for at least this number of items."""
CPU_SCORES = 6e9
GPU_SCORES = 0.6
"""Limits for the scores of a row: bytes on a CPU, share of the memory on a GPU."""
HEADER = ["implementation", "ms, median", "ms, least", "peak MB", "GFLOP/s", "of the matrix rate", "time / baseline"]
NOTE = """\
Forward and backward of `loss.sum()`. Peak memory is counted above the inputs and includes their gradients. GFLOP/s
count the three products that no method avoids (the scores and two gradients), 6 N K V D; for the sampled loss, V is its
{samples:,} samples. The baseline is `F.cross_entropy((u @ E.T).max(1).values, target)` in float32; "autocast" has
inputs in float32 and products in bfloat16. Times are over all rounds. A ratio is the median over the rounds of the
ratio of the least times, which a busy machine disturbs the least."""
NO_GPU = "There is no CUDA device, so the GPU rows (Triton, Liger, cut-cross-entropy) are not measured yet."


class Case(NamedTuple):
    """Interests ``[n, k, d]`` and items ``[v, d]``."""

    name: str
    n: int
    k: int
    v: int
    d: int


CASES = {
    "cpu": (
        Case("beauty", 1300, 4, 12101, 128),
        Case("beauty-k1", 1300, 1, 12101, 128),
        Case("office-step", 240, 4, 2420, 64),
        Case("10k", 512, 4, 10_000, 128),
        Case("100k", 512, 4, 100_000, 128),
        Case("1m", 512, 4, 1_000_000, 128),
    ),
    "cuda": (
        Case("gpu-10k", 8192, 4, 10_000, 128),
        Case("gpu-100k", 8192, 4, 100_000, 128),
        Case("gpu-1m", 8192, 4, 1_000_000, 128),
        Case("gpu-10k-k1", 8192, 1, 10_000, 128),
        Case("gpu-100k-k1", 8192, 1, 100_000, 128),
        Case("gpu-1m-k1", 8192, 1, 1_000_000, 128),
    ),
    "quick": (Case("quick", 8, 1, SAMPLED_FROM, 16),),
}
BY_NAME = {case.name: case for cases in CASES.values() for case in cases}

ROUNDS, QUICK_ROUNDS = 3, 1
LIMITS, QUICK_LIMITS = {"seconds": 2, "most": 50}, {"seconds": 0.1, "most": 3}
"""A child stops after so many seconds or repeats."""


class Row(NamedTuple):
    """An implementation, as ``ops_row.measure`` takes it."""

    name: str
    loss: str
    inputs: str = "float32"
    products: str = "float32"
    candidates: Optional[int] = None  # the number of items that are scored, if not all

    @property
    def holds_scores(self) -> bool:
        return self.loss in ("baseline", "naive")


BASELINE = Row("baseline, float32", "baseline")
EVERYWHERE = (
    BASELINE,
    Row("baseline, bfloat16", "baseline", "bfloat16", "bfloat16"),
    Row("naive, float32", "naive"),
    Row("tiled, float32", "tiled"),
    Row("tiled, autocast", "tiled", products="bfloat16"),
)
ON_GPU = (
    Row("triton, float32", "triton"),
    Row("triton, bfloat16", "triton", "bfloat16", "bfloat16"),
)
OF_ONE_INTEREST = (
    Row("F.linear_cross_entropy, float32", "pytorch"),
    Row("F.linear_cross_entropy, bfloat16", "pytorch", "bfloat16", "bfloat16"),
)
PEERS = {
    "liger_kernel": (
        Row("Liger, float32", "liger"),
        Row("Liger, bfloat16", "liger", "bfloat16", "bfloat16"),
    ),
    "cut_cross_entropy": (Row("cut-cross-entropy, bfloat16", "cut_cross_entropy", "bfloat16", "bfloat16"),),
}
"""Rows by the package that they need, for a single interest. cut-cross-entropy has no backward in float32."""
SAMPLED = Row(f"sampled {SAMPLES:,}, float32", "sampled", candidates=SAMPLES)


@dataclass
class Measurement:
    """The results of a row, one for each round, or the reason why there are none."""

    row: Row
    reason: Optional[str] = None
    rounds: list[dict] = field(default_factory=list)

    @property
    def times(self) -> list[float]:
        return [milliseconds for found in self.rounds for milliseconds in found["times"]]

    def add_round(self, case: Case, settings: dict) -> None:
        """Measure in a new child. ``settings`` are the arguments of ``ops_row.measure`` besides row and case."""
        row = {"loss": self.row.loss, "inputs": self.row.inputs, "products": self.row.products, "shape": case[1:]}
        try:
            self.rounds.append(run_child("benchmarks.speed.ops_row", {**row, **settings}))
        except ChildFailed as error:
            self.reason = str(error)

    def ratio(self, baseline: Measurement) -> str:
        if baseline.reason:
            return "-"
        pairs = zip(self.rounds, baseline.rounds)
        return f"{median(min(own['times']) / min(its['times']) for own, its in pairs):.2f}"


def main(words: list[str]) -> int:
    arguments = parse(words)
    try:
        machine = run_child("benchmarks.speed.machine", {"threads": arguments.threads, "quick": arguments.quick})
    except ChildFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    run = describe_run(machine, "benchmarks.speed.ops", words, arguments.output)
    parts = [run, NOTE.format(samples=SAMPLES), *missing(machine["device"])]
    print("\n\n".join(parts), flush=True)
    rounds, limits = (QUICK_ROUNDS, QUICK_LIMITS) if arguments.quick else (ROUNDS, LIMITS)
    settings = {"device": machine["device"], "threads": arguments.threads, **limits}
    for case in arguments.cases or CASES["quick" if arguments.quick else machine["device"]]:
        parts.append(report(case, measure(case, machine, rounds, settings), machine["rates"]))
        print(f"\n{parts[-1]}", flush=True)
    if arguments.output:
        write_section(arguments.output, SECTION, "## Operations", parts)
    return 0


def parse(words: list[str]) -> argparse.Namespace:
    parser = make_parser("benchmarks.speed.ops", __doc__, SECTION, "a small case and one round")
    parser.add_argument(
        "--cases", type=_cases, metavar="NAME,NAME", help=f"some of {', '.join(BY_NAME)} (default: those of the device)"
    )
    return parser.parse_args(words)


def _cases(text: str) -> list[Case]:
    names = text.split(",")
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown case {', '.join(map(repr, unknown))}; expected {', '.join(BY_NAME)}")
    return [BY_NAME[name] for name in names]


def missing(device: str) -> list[str]:
    """Messages that name the rows that this machine cannot measure."""
    if device == "cpu":
        return [NO_GPU]
    return [f"{package} is not installed: its rows are skipped." for package in PEERS if not _is_installed(package)]


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def rows_of(case: Case, device: str) -> list[Row]:
    rows = [*EVERYWHERE, *(OF_ONE_INTEREST if case.k == 1 else ())]
    if device == "cuda":
        rows += ON_GPU
        if case.k == 1:
            rows += [row for package, own in PEERS.items() if _is_installed(package) for row in own]
    if case.v >= SAMPLED_FROM:
        rows.append(SAMPLED)
    return rows


def reason_to_skip(case: Case, row: Row, machine: dict) -> str | None:
    """Why a row is not measured, or None. Its memory is estimated as three times its scores."""
    limit = CPU_SCORES if machine["device"] == "cpu" else GPU_SCORES * machine["gpu_memory"]
    needed = 3 * case.n * case.k * case.v * (2 if row.products == "bfloat16" else 4)
    if row.holds_scores and needed > limit:
        return f"skipped: needs about {needed / 1e9:.1f} GB, more than {limit / 1e9:.1f} GB"
    return None


def measure(case: Case, machine: dict, rounds: int, settings: dict) -> list[Measurement]:
    """Measure every row in each round. A row that has failed is not tried again."""
    measurements = [Measurement(row, reason_to_skip(case, row, machine)) for row in rows_of(case, machine["device"])]
    for number in range(1, rounds + 1):
        print(f"{case.name}: round {number} of {rounds}", file=sys.stderr, flush=True)
        for measurement in measurements:
            if not measurement.reason:
                measurement.add_round(case, settings)
    return measurements


def report(case: Case, measurements: list[Measurement], rates: dict[str, float]) -> str:
    """The heading and the table of a case."""
    baseline = next(measurement for measurement in measurements if measurement.row == BASELINE)
    rows = [cells(case, measurement, baseline, rates[measurement.row.products]) for measurement in measurements]
    heading = f"### {case.name}: N = {case.n:,}, K = {case.k}, V = {case.v:,}, D = {case.d}"
    return f"{heading}\n\n{markdown_table(HEADER, rows)}"


def cells(case: Case, measurement: Measurement, baseline: Measurement, matrix_rate: float) -> list[str]:
    """The cells of a row."""
    row = measurement.row
    if measurement.reason:
        return [row.name, measurement.reason] + [""] * (len(HEADER) - 2)
    milliseconds = median(measurement.times)
    rate = 6 * case.n * case.k * (row.candidates or case.v) * case.d / 1e6 / milliseconds
    return [
        row.name,
        f"{milliseconds:,.2f}",
        f"{min(measurement.times):,.2f}",
        f"{max(found['memory'] for found in measurement.rounds):,.1f}",
        f"{rate:,.1f}",
        f"{rate / matrix_rate:.0%}",
        measurement.ratio(baseline),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
