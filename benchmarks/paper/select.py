"""Select, for every data set and model, the trial of the search with the best Recall@20 on validation.

Writes ``selected.yaml``. The runs of all other tables build on its settings. Run from the root of the repository:
``python -m benchmarks.paper.select --help``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

from benchmarks.paper import records
from benchmarks.paper.identity import record_of, resolve
from benchmarks.paper.plan import HERE, Table, make_run, read_table, rows_of
from recbole_sigma.config.reading import read_user_file
from recbole_sigma.errors import ConfigError, RecBoleSigmaError

HEADER = """\
# Written by python -m benchmarks.paper.select: of each model, the settings of the trial with the best Recall@20 on
# validation. The runs of all tables but the search build on them.
"""


class Trial(NamedTuple):
    """Attributes:
    settings: the drawn settings.
    changed: those that differ from the defaults.
    record: None if the run is not done.
    """

    number: int
    settings: dict
    changed: dict
    record: dict | None

    @property
    def score(self) -> float:
        """Recall@20 on validation, which also selected the epoch of the run."""
        return self.record["seen_removed"]["valid"]["recall@20"]


def trials_of(table: Table, dataset: str, found: list[dict]) -> dict[str, list[Trial]]:
    """The trials of each model of a search on a data set, whether done or not."""
    (seed,) = table.datasets[dataset].seeds
    trials: dict[str, list[Trial]] = {}
    for row in rows_of(table, dataset):
        of_model = trials.setdefault(row.model, [])
        record = record_of(found, make_run(table, row, dataset, seed))
        defaults = resolve(row.model, dataset, {})
        changed = {key: value for key, value in row.settings.items() if value != defaults[key]}
        of_model.append(Trial(len(of_model), row.settings, changed, record))
    return trials


def best(trials: list[Trial]) -> Trial | None:
    """The trial with the best score, the first of equal ones; None if no trial is done."""
    return max((trial for trial in trials if trial.record), key=lambda trial: trial.score, default=None)


def selection(table: Table, folder: Path) -> str:
    """The text of ``selected.yaml``."""
    parts = [HEADER]
    for dataset in table.datasets:
        trials = trials_of(table, dataset, records.read(records.results_file(folder, dataset)))
        winners = {model: winner for model, of_model in trials.items() if (winner := best(of_model))}
        parts += [f"\n{dataset}:\n"] if winners else []
        for model, winner in winners.items():
            done = sum(trial.record is not None for trial in trials[model])
            parts.append(
                f"  # trial {winner.number}, {winner.score:.4f} on validation; {done} of {len(trials[model])} done\n"
            )
            settings = yaml.safe_dump(winner.settings, default_flow_style=True, sort_keys=False, width=10_000).strip()
            parts.append(f"  {model}: {settings}\n")
    return "".join(parts)


def read_selected(folder: Path) -> dict[str, dict[str, dict]]:
    """The settings in ``selected.yaml`` for each data set and model; empty if there is no such file."""
    path = folder / "selected.yaml"
    return read_user_file(path) if path.exists() else {}


def existing_folder(text: str) -> Path:
    """Parse the path of an existing folder.

    Raises:
        argparse.ArgumentTypeError: there is no such folder.
    """
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.paper.select", description=__doc__)
    parser.add_argument("table", nargs="?", default="search", help="a search or its YAML file (default: %(default)s)")
    parser.add_argument("--folder", type=existing_folder, default=HERE, help="of results and selected.yaml")
    arguments = parser.parse_args(words)
    try:
        table = read_table(arguments.table)
        if table.search is None:
            raise ConfigError(f"{table.name} is not a search; expected a table with spaces")
        text = selection(table, arguments.folder)
    except RecBoleSigmaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    arguments.folder.joinpath("selected.yaml").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
