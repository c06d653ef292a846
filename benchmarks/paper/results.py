"""What the records say of a table."""

from __future__ import annotations

from statistics import mean, stdev
from typing import NamedTuple

from benchmarks.paper.identity import record_of
from benchmarks.paper.plan import Row, Table, make_run, rows_of


class Measured(NamedTuple):
    """A metric over seeds.

    Attributes:
        sd: standard deviation of the sample; None for a single seed.
        seeds: how many there are.
    """

    mean: float
    sd: float | None
    seeds: int


class Result(NamedTuple):
    """A row of a table on a data set.

    Attributes:
        records: one for each seed that is done.
        planned: number of seeds.
    """

    row: Row
    records: list[dict]
    planned: int

    def test(self, metric: str, rule: str = "seen_removed") -> Measured | None:
        """A metric of the test, None while no seed is done. ``rule`` is a name of ``one_run.RULES``."""
        return measured([record[rule]["test"][metric] for record in self.records])


def measured(values: list[float]) -> Measured | None:
    return Measured(mean(values), stdev(values) if len(values) > 1 else None, len(values)) if values else None


def results_of(table: Table, dataset: str, selected: dict, found: list[dict]) -> list[Result]:
    """The rows of a table, with the records of their runs among ``found``.

    Raises:
        ConfigError: settings that cannot be resolved.
    """
    seeds = table.datasets[dataset].seeds
    results = []
    for row in rows_of(table, dataset):
        records = [record_of(found, make_run(table, row, dataset, seed, selected)) for seed in seeds]
        results.append(Result(row, [record for record in records if record], len(seeds)))
    return results
