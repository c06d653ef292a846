"""The runs of a table.

A table is a YAML file with ``title``, ``datasets`` (each with ``seeds`` and optional ``settings``) and either ``rows``
(``label``, ``model`` and optional ``settings``) or a search (``trials``, ``draws_seed`` and ``spaces``), from which
``benchmarks.paper.search`` draws the rows. Settings of a run come from ``models.yaml``, the data set, ``selected.yaml``
and the row; later ones override earlier ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from benchmarks.paper.identity import digest, resolve
from benchmarks.paper.search import Search, draw
from recbole_sigma.config.reading import read_user_file
from recbole_sigma.errors import ConfigError

HERE = Path(__file__).parent
METRICS = ["recall@20", "recall@40", "ndcg@20", "ndcg@40"]


class Row(NamedTuple):
    """Attributes:
    published: name of the row in ``published.yaml``.
    """

    label: str
    model: str
    settings: dict
    published: str


class Dataset(NamedTuple):
    seeds: list[int]
    settings: dict


class Table(NamedTuple):
    """Attributes:
    given: the user's argument, a name or the path of a file.
    metrics: columns of the report.
    rows: empty if they are drawn from ``search``.
    """

    given: str
    name: str
    title: str
    datasets: dict[str, Dataset]
    metrics: list[str]
    rows: list[Row]
    search: Search | None


class Run(NamedTuple):
    """One training.

    Attributes:
        given: settings that are set; all others are the defaults.
        settings: all settings that decide the result.
    """

    label: str
    model: str
    dataset: str
    seed: int
    given: dict
    settings: dict

    @property
    def hash(self) -> str:
        return digest(self.model, self.dataset, self.seed, self.settings)

    def described(self) -> dict:
        """The first entries of the run's record, or of the record of its failure."""
        described = {**self._asdict(), "hash": self.hash}
        del described["settings"]
        return described


def table_names() -> list[str]:
    return sorted(path.stem for path in (HERE / "tables").glob("*.yaml"))


def read_table(name: str) -> Table:
    """Read a table by its name or by the path of its file.

    Raises:
        ConfigError: there is no such table, or its file is invalid.
    """
    path = Path(name) if name.endswith(".yaml") else HERE / "tables" / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"table {name!r} is not known; expected {', '.join(table_names())}, or a .yaml file")
    content = read_user_file(path)
    try:
        table = Table(
            name,
            path.stem,
            content["title"],
            {name: Dataset(list(own["seeds"]), own.get("settings", {})) for name, own in content["datasets"].items()},
            content.get("metrics", METRICS),
            [
                Row(row["label"], row["model"], row.get("settings", {}), row.get("published", row["label"]))
                for row in content.get("rows", [])
            ],
            Search(content["trials"], content["draws_seed"], content["spaces"]) if "spaces" in content else None,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: expected title, datasets with seeds, and rows or a search; {error!r}") from error
    if not (table.rows or table.search):
        raise ConfigError(f"{path}: expected at least one row")
    if not table.datasets or not all(dataset.seeds for dataset in table.datasets.values()):
        raise ConfigError(f"{path}: expected at least one data set, and one seed for each")
    if table.search and any(len(dataset.seeds) != 1 for dataset in table.datasets.values()):
        raise ConfigError(f"{path}: expected one seed for each data set of a search")
    return table


def rows_of(table: Table, dataset: str) -> list[Row]:
    """The rows of a table. Those of a search come trial by trial, so that each model has as many if it is stopped."""
    if table.search is None:
        return table.rows
    drawn = {model: draw(table.search, model, dataset, fixed_settings(model)) for model in table.search.spaces}
    labels = [(f"{model} trial {trial}", model, trial) for trial in range(table.search.trials) for model in drawn]
    return [Row(label, model, drawn[model][trial], label) for label, model, trial in labels]


def fixed_settings(model: str) -> dict:
    """Settings of every run of a model, in any table."""
    return read_user_file(HERE / "models.yaml").get(model, {})


def plan(
    table: Table, dataset: str, selected: dict, models: list[str] | None = None, seeds: list[int] | None = None
) -> list[Run]:
    """The runs of a table on a data set: all rows with the first seed, then with the next; each run only once.

    Args:
        selected: the settings that the search has selected for each model on this data set.
        models, seeds: those to run; by default all of the table.

    Raises:
        ConfigError: a data set, model or seed is not in the table, or settings are invalid.
    """
    _check([dataset], table.datasets, "data set", table)
    rows = rows_of(table, dataset)
    _check(models or [], [row.model for row in rows], "model", table)
    _check(seeds or [], table.datasets[dataset].seeds, "seed", table)
    runs: dict[str, Run] = {}
    for seed in table.datasets[dataset].seeds:
        for row in rows:
            if row.model in (models or [row.model]) and seed in (seeds or [seed]):
                run = make_run(table, row, dataset, seed, selected)
                runs.setdefault(run.hash, run)
    return list(runs.values())


def make_run(table: Table, row: Row, dataset: str, seed: int, selected: dict | None = None) -> Run:
    """The run of a row with a seed. A search ignores ``selected`` and builds on the defaults.

    Raises:
        ConfigError: settings are invalid, or the run does not evaluate a metric of the table.
    """
    base = {} if table.search else (selected or {}).get(row.model, {})
    given = {**fixed_settings(row.model), **table.datasets[dataset].settings, **base, **row.settings}
    try:
        settings = resolve(row.model, dataset, given)
    except ConfigError as error:
        raise ConfigError(f"{row.label} on {dataset}: {error}") from error
    evaluated = [f"{metric.lower()}@{k}" for metric in settings["metrics"] for k in settings["topk"]]
    for metric in table.metrics:
        if metric not in evaluated:
            raise ConfigError(
                f"{row.label} on {dataset}: {metric} is not evaluated; expected {', '.join(evaluated)}; for "
                "others, change topk and metrics in the settings"
            )
    return Run(row.label, row.model, dataset, seed, given, settings)


def run_again(failure: dict) -> Run:
    """The run of a failure, with today's defaults.

    Raises:
        ConfigError: its settings are not valid any more.
    """
    label, model, dataset, seed, given = (failure[key] for key in ("label", "model", "dataset", "seed", "given"))
    return Run(label, model, dataset, seed, given, resolve(model, dataset, given))


def _check(values: list, known, kind: str, table: Table) -> None:
    for value in values:
        if value not in known:
            expected = ", ".join(map(str, dict.fromkeys(known)))
            raise ConfigError(f"{kind} {value!r} is not in {table.name}; expected {expected}")
