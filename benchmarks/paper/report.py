"""Write ``RESULTS.md`` and its plots from the finished runs.

Run from the root of the repository: ``python -m benchmarks.paper.report --help``.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from benchmarks.paper import plots, records, sections
from benchmarks.paper.plan import HERE, Table, read_table
from benchmarks.paper.results import Result, results_of
from benchmarks.paper.select import best, existing_folder, read_selected, trials_of
from recbole_sigma.config.reading import read_user_file
from recbole_sigma.errors import ConfigError, RecBoleSigmaError

TABLES = ["table2", "table3", "table4", "table5", "table6", "figure2", "variants", "search"]
INTRODUCTION = """\
# The paper's tables

Written by `python -m benchmarks.paper.report` from the finished runs. The split is leave-one-out, and the whole catalog
is ranked. R is Recall, N is NDCG, D is Diversity. The epoch is selected by Recall@20 on validation. Items that a user
had before are removed from the ranking, except in tables that say otherwise. Our numbers are means over n seeds ± the
sample standard deviation. Our best number is bold. A cell gives its n if seeds are missing. p is from a paired t-test
over users. There, the metric of a user is the mean over the seeds that both models have, and the best of the other
models is bold. p is not corrected for the number of comparisons, and says nothing about the variation between
trainings.

The search has the same number of trials for every model, but the defaults of SIGMA and SASRecAP come from earlier
trials on Amazon Office, listed in [DEVELOPMENT.md](DEVELOPMENT.md). Training stops after 10 evaluations without a
better Recall@20 (the paper: 100 epochs). Seconds an epoch are from runs that may have shared the machine with others.
[FINDINGS.md](FINDINGS.md) compares these numbers with the paper's claims.

To reproduce everything, run these commands for each data set and table. A command that was stopped continues where it
stopped:

```bash
python -m benchmarks.paper.run search --dataset amazon-office-products --data_path dataset --jobs 2
python -m benchmarks.paper.select
python -m benchmarks.paper.run table2 --dataset amazon-office-products --data_path dataset --jobs 2
python -m benchmarks.paper.report
```"""


class Report:
    """The parts of the report in order, and the plots beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.selected = read_selected(folder)
        self.published = read_user_file(HERE / "published.yaml")
        self.found: dict[str, list[dict]] = {}
        self.failures: list[dict] = []
        self.parts = [INTRODUCTION]

    def write(self, names: list[str]) -> Path:
        """Write the report on these tables and return its path."""
        for table in map(read_table, names):
            self.parts.append(f"## {_heading(table)}")
            for dataset in table.datasets:
                self.parts.append(f"### {dataset}")
                try:
                    self.parts += self.search(table, dataset) if table.search else self.table(table, dataset)
                except ConfigError as error:
                    self.parts.append(f"Cannot be planned: {error}")
        failed = sections.failed_runs(self.failures, [record for found in self.found.values() for record in found])
        self.parts += ["## Failed runs", failed] if failed else []
        self.parts.append((HERE / "best_published.md").read_text(encoding="utf-8").rstrip())
        path = self.folder / "RESULTS.md"
        path.write_text("\n\n".join(self.parts) + "\n", encoding="utf-8")
        return path

    def records_of(self, dataset: str) -> list[dict]:
        if dataset not in self.found:
            self.found[dataset] = records.read(records.results_file(self.folder, dataset))
            self.failures += records.read(records.failures_file(self.folder, dataset))
        return self.found[dataset]

    def table(self, table: Table, dataset: str) -> list[str]:
        """The parts of the report on a table and a data set."""
        selected = self.selected.get(dataset, {})
        results = results_of(table, dataset, selected, self.records_of(dataset))
        published = self.published.get(table.name, {}).get(dataset, {})
        done = [record for result in results for record in result.records]
        parts = [sections.accuracy(results, published, table.metrics)]
        if done:
            compared = sections.significance(results, table.metrics)
            parts += [compared] if compared else []
            parts += ["Seen items ranked as well:", sections.other_rule(results, table.metrics)]
            parts += self.plots(table, dataset, results)
        models = [result.row.model for result in results]
        parts += ["Settings that the rows build on:", sections.selected_settings(models, selected)]
        return [*parts, _command(table, dataset), *([sections.provenance(done)] if done else [])]

    def search(self, table: Table, dataset: str) -> list[str]:
        """The parts of the report on the search on a data set."""
        trials = trials_of(table, dataset, self.records_of(dataset))
        done = {model: sum(trial.record is not None for trial in of_model) for model, of_model in trials.items()}
        (seed,) = table.datasets[dataset].seeds
        budget = (
            f"{table.search.trials} trials for each model, the defaults and random draws (seed {table.search.seed}), "
            f"trained with seed {seed}; done: " + ", ".join(f"{model} {count}" for model, count in done.items()) + "."
        )
        selected = self.selected.get(dataset, {})
        winners = {model: winner.settings for model, of_model in trials.items() if (winner := best(of_model))}
        stale = [model for model in {**winners, **selected} if selected.get(model) != winners.get(model)]
        of_runs = [trial.record for of_model in trials.values() for trial in of_model if trial.record]
        parts = [budget, sections.search_log(trials), _command(table, dataset)]
        if stale:
            parts.append(f"`selected.yaml` does not match the finished trials of: {', '.join(stale)}.")
        return [*parts, *([sections.provenance(of_runs)] if of_runs else [])]

    def plots(self, table: Table, dataset: str, results: list[Result]) -> list[str]:
        """Write the plots of a table beside the report; an empty list for a table without plots."""
        drawn = {}
        if table.name == "figure2":
            metrics = ["recall@20", "ndcg@20"]
            drawn["categories"] = plots.sweep(f"Number of categories, {dataset}", "num_categories", metrics, results)
        if table.name == "table6":
            metrics = ["recall@10", "ndcg@10", "diversity@10"]
            drawn["kl_weight"] = plots.sweep(f"Weight of the KL divergence, {dataset}", "kl_weight", metrics, results)
            title = f"Accuracy and diversity, {dataset}"
            drawn["diversity"] = plots.trade_off(title, "diversity@10", "recall@10", results)
        parts = []
        for name, figure in drawn.items():
            path = self.folder / "plots" / f"{name}-{dataset}.svg"
            path.parent.mkdir(exist_ok=True)
            plots.write(figure, path)
            parts.append(f"![{name}, {dataset}](plots/{path.name})")
        return parts


def _heading(table: Table) -> str:
    kind, number = table.name[:-1], table.name[-1:]
    return f"{kind.capitalize()} {number}: {table.title}" if number.isdigit() else table.title


def _command(table: Table, dataset: str) -> str:
    words = ["python", "-m", "benchmarks.paper.run", table.given, "--dataset", dataset, "--data_path", "dataset"]
    return f"```bash\n{shlex.join(words)}\n```"


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.paper.report", description=__doc__)
    parser.add_argument("tables", nargs="*", default=TABLES, help="names or YAML files (default: all of the paper)")
    parser.add_argument("--folder", type=existing_folder, default=HERE, help="of results, selected.yaml and report")
    arguments = parser.parse_args(words)
    try:
        print(Report(arguments.folder).write(arguments.tables))
    except RecBoleSigmaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
