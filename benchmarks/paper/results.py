"""The results of a table, taken from the records."""

from __future__ import annotations

from statistics import mean, stdev
from typing import NamedTuple

from benchmarks.paper.identity import record_of
from benchmarks.paper.plan import Row, Table, make_run, rows_of


class Measured(NamedTuple):
    """A metric over seeds.

    Attributes:
        sd: sample standard deviation; None for a single seed.
        seeds: number of seeds.
    """

    mean: float
    sd: float | None
    seeds: int


class Result(NamedTuple):
    """A row of a table on a data set.

    Attributes:
        records: one for each finished seed.
        planned: number of seeds.
    """

    row: Row
    records: list[dict]
    planned: int

    def test(self, metric: str, rule: str = "seen_removed") -> Measured | None:
        """A test metric; None if no seed is finished. ``rule`` is a name in ``one_run.RULES``."""
        return measured([record[rule]["test"][metric] for record in self.records])


def measured(values: list[float]) -> Measured | None:
    return Measured(mean(values), stdev(values) if len(values) > 1 else None, len(values)) if values else None


def results_of(table: Table, dataset: str, selected: dict, found: list[dict]) -> list[Result]:
    """The rows of a table, each with the records in ``found`` that belong to it.

    Raises:
        ConfigError: settings are invalid.
    """
    seeds = table.datasets[dataset].seeds
    results = []
    for row in rows_of(table, dataset):
        records = [record_of(found, make_run(table, row, dataset, seed, selected)) for seed in seeds]
        results.append(Result(row, [record for record in records if record], len(seeds)))
    return results
