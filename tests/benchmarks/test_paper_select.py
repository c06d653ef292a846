"""Which trial is selected, and what is built on it."""

import pytest

from benchmarks.paper import records, select
from benchmarks.paper.plan import fixed_settings, make_run, plan, rows_of
from tests.benchmarks.made_up import record, table, write_table

SPACE = {"embedding_size": [16, 32], "weight_decay": [1e-6, 0.001]}
SEARCH = {"rows": [], "datasets": {"ml-100k": {"seeds": [1]}}, "trials": 3, "draws_seed": 0}


@pytest.fixture
def search(tmp_path):
    return write_table(tmp_path, "searching", **SEARCH, spaces={"BPR": SPACE, "GRU4Rec": SPACE})


def finish(folder, search, model, metrics):
    """Records of the trials of a model, with validation and test of each, or None for one that is not done."""
    own = select.read_table(search)
    rows = [row for row in rows_of(own, "ml-100k") if row.model == model]
    for row, values in zip(rows, metrics):
        if values:
            run = make_run(own, row, "ml-100k", 1)
            records.append(records.results_file(folder, "ml-100k"), record(run, valid=values[0], test=values[1]))
    return [row.settings for row in rows]


def selected(folder, search, capsys):
    assert select.main([search, "--folder", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("# Written by")
    return select.read_selected(folder)


def test_the_best_validation_is_selected_whatever_the_test_says(tmp_path, search, capsys):
    drawn = finish(tmp_path, search, "BPR", [(0.10, 0.90), (0.12, 0.20), (0.11, 0.99)])
    assert selected(tmp_path, search, capsys) == {"ml-100k": {"BPR": drawn[1]}}
    assert "trial 1, 0.1200 on validation; 3 of 3 done" in (tmp_path / "selected.yaml").read_text()


def test_the_first_of_equal_trials_is_selected(tmp_path, search, capsys):
    finish(tmp_path, search, "BPR", [(0.12, 0.1), (0.12, 0.2), (0.11, 0.3)])
    assert selected(tmp_path, search, capsys) == {"ml-100k": {"BPR": {}}}


def test_a_part_of_the_trials_selects_too_and_a_model_without_any_has_no_place(tmp_path, search, capsys):
    drawn = finish(tmp_path, search, "GRU4Rec", [None, None, (0.05, 0.1)])
    assert selected(tmp_path, search, capsys) == {"ml-100k": {"GRU4Rec": drawn[2]}}
    assert "1 of 3 done" in (tmp_path / "selected.yaml").read_text()


def test_runs_of_other_tables_build_on_what_is_selected(tmp_path, search, capsys):
    drawn = finish(tmp_path, search, "BPR", [(0.1, 0.1), (0.2, 0.1)])
    bpr, sigma = plan(table(tmp_path), "ml-100k", selected(tmp_path, search, capsys)["ml-100k"], seeds=[1])
    assert bpr.given == drawn[1] and sigma.given == fixed_settings("SIGMA")


def test_records_of_other_defaults_do_not_count(tmp_path, search, capsys):
    own = select.read_table(search)
    run = make_run(own, rows_of(own, "ml-100k")[0], "ml-100k", 1)
    old = record(run, settings={**run.settings, "learning_rate": 0.5})
    records.append(records.results_file(tmp_path, "ml-100k"), old)
    assert selected(tmp_path, search, capsys) == {}


@pytest.mark.parametrize("name, message", [("table2", "table2 is not a search"), ("nothing", "'nothing' is not known")])
def test_bad_arguments_are_refused(tmp_path, name, message, capsys):
    assert select.main([name, "--folder", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
