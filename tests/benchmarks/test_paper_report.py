"""The report from made-up records: what stands in its cells, and what it says of what is missing."""

import math
import re
import shlex
from xml.etree import ElementTree

import pytest
from scipy.stats import t as student

from benchmarks.paper import records, report, select
from benchmarks.paper.plan import HERE, make_run, plan, read_table, rows_of
from tests.benchmarks.made_up import record, write_table

OFFICE = "amazon-office-products"


def store(folder, run, **values):
    records.append(records.results_file(folder, run.dataset), record(run, **values))


def written(folder, *tables):
    assert report.main([*tables, "--folder", str(folder)]) == 0
    return (folder / "RESULTS.md").read_text()


def cells(text, first):
    """The cells of the first line of a table that begins with ``first``."""
    return re.search(rf"^\| {re.escape(first)} \| (.*) \|$", text, re.MULTILINE)[1].split(" | ")


@pytest.fixture
def small(tmp_path):
    return write_table(tmp_path, datasets={"ml-100k": {"seeds": [1, 2]}})


def test_ours_are_means_with_deviations_the_best_is_bold_and_what_is_missing_is_said(tmp_path, small):
    first, second, third, fourth = plan(read_table(small), "ml-100k", {})
    assert [run.label for run in (first, second, third, fourth)] == ["BPR", "SIGMA", "BPR", "SIGMA"]
    store(tmp_path, first, test=0.10)
    store(tmp_path, third, test=0.13)
    text = written(tmp_path, small)
    deviation = math.sqrt(((0.10 - 0.115) ** 2 + (0.13 - 0.115) ** 2) / 1)
    assert cells(text, "BPR")[:2] == ["–", f"**0.1150** ± {deviation:.4f}"]
    assert cells(text, "SIGMA")[:2] == ["–", "not run"]
    store(tmp_path, second, test=0.2)
    text = written(tmp_path, small)
    assert cells(text, "BPR")[1] == f"0.1150 ± {deviation:.4f}"
    assert cells(text, "SIGMA")[1] == "**0.2000** (n = 1)"


def test_records_of_other_settings_are_not_in_the_table(tmp_path, small):
    run = plan(read_table(small), "ml-100k", {})[0]
    records.append(
        records.results_file(tmp_path, "ml-100k"),
        record(run, settings={**run.settings, "epochs": run.settings["epochs"] + 1}),
    )
    assert cells(written(tmp_path, small), "BPR")[1] == "not run"


def test_the_paper_s_numbers_stand_beside_ours_its_other_models_below(tmp_path):
    (run,) = plan(read_table("table2"), OFFICE, {}, ["BERT4Rec"], [2020])
    store(tmp_path, run, test=0.123)
    text = written(tmp_path, "table2")
    section = text[text.index(f"### {OFFICE}") :]
    assert cells(section, "BERT4Rec")[:2] == ["0.1350", "**0.1230** (n = 1)"]
    assert cells(section, "SIGMA")[:2] == ["0.1615", "not run"]
    assert cells(section, "SASRecAP")[:2] == ["–", "not run"]
    assert cells(section, "ComiRec-SA") == [
        "0.0685",
        "not run",
        "0.1193",
        "not run",
        "0.0233",
        "not run",
        "0.0335",
        "not run",
    ]
    labels = re.findall(r"^\| ([\w-]+) \|", section[: section.index("Seen items")], re.MULTILINE)
    assert labels.index("SIGMA") < labels.index("SVAE")


def test_sigma_is_tested_against_the_others_and_the_best_of_them_is_bold(tmp_path):
    table = write_table(
        tmp_path,
        datasets={"ml-100k": {"seeds": [1]}},
        rows=[{"label": label, "model": label} for label in ("BPR", "SASRecAP", "SIGMA")],
    )
    bpr, rival, sigma = plan(read_table(table), "ml-100k", {})
    store(tmp_path, bpr, test=0.3, ranks=[0, 0, 30, 0, 30, 0])
    store(tmp_path, rival, test=0.1, ranks=[1, 30, 30, 0, 30, 0])
    store(tmp_path, sigma, test=0.5, ranks=[1, 1, 30, 2, 30, 5])
    text = written(tmp_path, table)
    part = text[text.index("| SIGMA minus") :]
    recall = math.sqrt(5 * (4 / 6) ** 2 / (4 * (2 / 6) ** 2 + 2 * (4 / 6) ** 2) * 6)  # four of six users gain 1
    p = f"{2 * student.sf(recall, 5):.4f}"
    assert cells(part, "BPR")[:2] == [f"**+0.6667** (p = {p})"] * 2
    assert cells(part, "BPR")[-1] == "1"
    assert cells(part, "SASRecAP")[0].startswith("+0.5000 (p = ")


def test_models_are_tested_by_recall_and_ndcg_of_the_table(tmp_path):
    settings = {"topk": [5], "metrics": ["NDCG", "Diversity"], "valid_metric": "NDCG@5"}
    metrics = ["ndcg@5", "diversity@5"]
    table = write_table(tmp_path, metrics=metrics, datasets={"ml-100k": {"seeds": [1], "settings": settings}})
    for run in plan(read_table(table), "ml-100k", {}):
        values = dict.fromkeys(metrics, 0.25)
        store(tmp_path, run, seen_removed={"valid": values, "test": values}, seen_ranked={"test": values})
    text = written(tmp_path, table)
    assert "| SIGMA minus | N@5 | n |" in text and cells(text, "BPR")[1] == "**0.2500**"


def test_the_other_rule_and_what_runs_took_stand_in_a_table_of_their_own(tmp_path, small):
    store(tmp_path, plan(read_table(small), "ml-100k", {})[0], seen=0.077)
    text = written(tmp_path, small)
    part = text[text.index("Seen items ranked as well") :]
    assert cells(part, "BPR")[0] == "0.0770 (n = 1)"
    assert cells(part, "BPR")[-3:] == ["7", "8.0", "1,234"]


def test_date_machine_versions_data_command_and_settings_are_stated(tmp_path, small):
    (tmp_path / "selected.yaml").write_text("ml-100k:\n  BPR: {embedding_size: 32}\n")
    run = plan(read_table(small), "ml-100k", {"BPR": {"embedding_size": 32}})[0]
    store(tmp_path, run)
    text = written(tmp_path, small)
    for part in (
        "2026-01-02",
        "A CPU, 2 cores, 1 of them for a run",
        "python 3.11, torch 2.13",
        "4 users, 50 items\n",
        "- Seeds: 1\n",
        "- BPR: embedding_size 32",
        "- SIGMA: nothing selected, the defaults",
    ):
        assert part in text
    assert cells(text, "BPR")[1] != "not run"


def test_the_printed_command_takes_the_table_as_it_was_given(tmp_path):
    (tmp_path / "a folder").mkdir()
    path = write_table(tmp_path / "a folder")
    words = shlex.split(re.findall("^python -m benchmarks.paper.run .*", written(tmp_path, path), re.MULTILINE)[-1])
    assert words[3:6] == [path, "--dataset", "ml-100k"]
    assert "benchmarks.paper.run table2 --dataset amazon-beauty" in written(tmp_path, "table2")


def test_what_the_numbers_do_not_say_is_said(tmp_path, small):
    text = " ".join(written(tmp_path, small).split())
    for part in (
        "the same number of trials for every model",
        "[DEVELOPMENT.md](DEVELOPMENT.md)",
        "10 evaluations without a better Recall@20",
        "may have shared the machine",
        "not corrected for the number of comparisons",
    ):
        assert part in text


def test_the_seeds_of_the_runs_are_stated_and_data_that_are_not_the_same(tmp_path, small):
    of_table = plan(read_table(small), "ml-100k", {})
    for run in reversed(of_table[1:]):
        store(tmp_path, run)
    text = written(tmp_path, small)
    assert "- Seeds: 1, 2\n" in text and "not all of the same data" not in text
    store(tmp_path, of_table[0], catalog={"users": 4, "items": 49, "digest": "other"})
    assert "4 users, 49 items; 4 users, 50 items: the runs are not all of the same data\n" in written(tmp_path, small)


def test_the_commits_of_the_runs_are_stated_and_that_of_an_older_record_is_not_known(tmp_path, small):
    for run, commit in zip(plan(read_table(small), "ml-100k", {}), ({}, {"commit": "abc"}, {"commit": "def+"})):
        store(tmp_path, run, versions={"python": "3.11", **commit})
    text = written(tmp_path, small)
    assert "- Versions: python 3.11\n- Commit (+: modified): not recorded; def+; abc\n" in text


def test_the_search_is_a_table_of_validation_alone(tmp_path):
    spaces = {"BPR": {"embedding_size": [16, 64], "weight_decay": [0.0, 0.001]}}
    search = write_table(tmp_path, datasets={"ml-100k": {"seeds": [1]}}, rows=[], trials=3, draws_seed=5, spaces=spaces)
    own = read_table(search)
    rows = rows_of(own, "ml-100k")
    for row, valid in zip(rows, (0.05, 0.06)):
        store(tmp_path, make_run(own, row, "ml-100k", 1), valid=valid, test=0.9876)
    text = written(tmp_path, search)
    assert "3 trials for each model" in text and "(seed 5), trained with seed 1; done: BPR 2." in text
    assert cells(text, "BPR 0") == ["the defaults", "0.0500", "0.0500", "7"]
    changed = ", ".join(f"{key} {value}" for key, value in rows[1].settings.items() if value not in (64, 0.0))
    assert cells(text, "**BPR 1**") == [changed, "0.0600", "0.0600", "7"]
    assert cells(text, "BPR 2")[1:] == ["not run"] * 3
    assert "0.9876" not in text
    assert "`selected.yaml` does not match the finished trials of: BPR." in text
    assert select.main([search, "--folder", str(tmp_path)]) == 0
    assert "does not match" not in written(tmp_path, search)


def test_what_was_selected_of_trials_that_are_no_longer_ones_is_stale(tmp_path):
    search = write_table(
        tmp_path,
        datasets={"ml-100k": {"seeds": [1]}},
        rows=[],
        trials=1,
        draws_seed=5,
        spaces={"BPR": {"embedding_size": [16]}, "GRU4Rec": {"embedding_size": [16]}},
    )
    (tmp_path / "selected.yaml").write_text("ml-100k:\n  GRU4Rec: {}\n  SINE: {}\n")
    text = written(tmp_path, search)
    assert "`selected.yaml` does not match the finished trials of: GRU4Rec, SINE." in text


def test_failed_runs_are_listed_until_they_are_done(tmp_path, small):
    first, second = plan(read_table(small), "ml-100k", {}, seeds=[1])
    for run in (first, second, second):
        failure = {**record(run), "error": f"OutOfMemory: {run.label}\nmore", "traceback": "..."}
        records.append(records.failures_file(tmp_path, "ml-100k"), failure)
    text = written(tmp_path, small)
    assert text.count("OutOfMemory: SIGMA") == text.count("OutOfMemory: BPR") == 1 and "more" not in text
    store(tmp_path, second)
    text = written(tmp_path, small)
    assert "OutOfMemory: BPR" in text and "OutOfMemory: SIGMA" not in text


def failed(folder, run, **others):
    failure = {**record(run), "error": f"OSError: {run.label}", "traceback": "...", **others}
    records.append(records.failures_file(folder, run.dataset), failure)


def test_a_failure_leaves_the_list_though_the_plugin_has_learnt_a_setting_since(tmp_path, small):
    first, second = plan(read_table(small), "ml-100k", {}, seeds=[1])
    for run in (first, second):
        failed(tmp_path, run, hash="0123456789ab")
        failed(tmp_path, run, hash="ba9876543210")
    text = written(tmp_path, small)
    assert text.count("OSError: BPR") == text.count("OSError: SIGMA") == 1
    store(tmp_path, second)
    text = written(tmp_path, small)
    assert "OSError: BPR" in text and "OSError: SIGMA" not in text


def test_a_failure_with_settings_that_are_gone_is_not_listed(tmp_path, small):
    run = plan(read_table(small), "ml-100k", {})[0]
    failed(tmp_path, run, given={"abolished": 1})
    assert "Failed runs" not in written(tmp_path, small)


def test_paths_of_the_machine_are_not_in_the_list_of_failures(tmp_path, small):
    run = plan(read_table(small), "ml-100k", {})[0]
    failed(
        tmp_path,
        run,
        error="OSError: no 'some/where' or '/folder/of/data/x.inter', of /folder/run-1/log at 3 / 4 (/a/b)",
    )
    assert "OSError: no 'some/where' or 'x.inter', of log at 3 / 4 (b)" in written(tmp_path, small)


def test_the_best_published_numbers_stand_at_the_end_with_how_they_were_chosen(tmp_path, small):
    last = written(tmp_path, small).split("\n## ")[-1]
    assert last.startswith("The best published numbers\n")
    assert cells(last, "Beauty | TV-Rec | 2025") == ["0.1403", "0.0705"]
    assert "read off the test set" in last and "selected on validation" in last


def test_the_report_of_the_repository_is_that_of_its_records(tmp_path):
    for name in ("results", "selected.yaml"):
        (tmp_path / name).symlink_to(HERE / name)
    assert report.main(["--folder", str(tmp_path)]) == 0
    assert (tmp_path / "RESULTS.md").read_text() == (HERE / "RESULTS.md").read_text()


def test_a_table_that_cannot_be_planned_says_why_and_the_others_are_written(tmp_path, small):
    rows = [{"label": "SIGMA", "model": "SIGMA", "settings": {"no_such_key": 1}}]
    bad = write_table(tmp_path, "bad", title="Bad", rows=rows)
    text = written(tmp_path, bad, small)
    assert "Cannot be planned: SIGMA on ml-100k: no_such_key" in text and cells(text, "BPR")[1] == "not run"


def test_plots_are_drawn_where_there_are_records(tmp_path):
    assert "plots/" not in written(tmp_path, "figure2")
    for run in plan(read_table("figure2"), OFFICE, {}, seeds=[2020]):
        store(tmp_path, run)
    text = written(tmp_path, "figure2")
    assert f"](plots/categories-{OFFICE}.svg)" in text
    (picture,) = (tmp_path / "plots").iterdir()
    texts = [part.text for part in ElementTree.parse(picture).iter() if part.text]
    assert {"2", "4", "8", "16", "num_categories", "R@20", "N@20"} <= set(texts)


def test_accuracy_and_diversity_are_drawn_against_the_weight_and_each_other(tmp_path):
    rows = [
        {"label": f"kl_weight {weight}", "model": "SIGMA", "settings": {"kl_weight": weight}} for weight in (0.1, 0.01)
    ]
    metrics = ["recall@10", "ndcg@10", "diversity@10"]
    settings = {"metrics": ["Recall", "NDCG", "Diversity"], "topk": [10, 20]}
    datasets = {"ml-100k": {"seeds": [1], "settings": settings}}
    table = write_table(tmp_path, "table6", rows=rows, metrics=metrics, datasets=datasets)
    for run, value in zip(plan(read_table(table), "ml-100k", {}), (0.1, 0.2)):
        store(tmp_path, run, test=value, metrics=metrics)
    text = written(tmp_path, table)
    for name, labels in {
        "kl_weight": ["0.01", "0.1", "D@10"],
        "diversity": ["kl_weight 0.1", "kl_weight 0.01"],
    }.items():
        assert f"](plots/{name}-ml-100k.svg)" in text
        texts = [part.text for part in ElementTree.parse(tmp_path / "plots" / f"{name}-ml-100k.svg").iter()]
        assert set(labels) <= set(texts)


def test_an_unknown_table_is_refused(tmp_path, capsys):
    assert report.main(["nothing", "--folder", str(tmp_path)]) == 2
    assert "'nothing' is not known" in capsys.readouterr().err


@pytest.mark.parametrize("program, words", [(report, ["table2"]), (select, [])])
def test_a_folder_that_does_not_exist_is_refused(program, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        program.main([*words, "--folder", str(tmp_path / "nothing")])
    assert end.value.code == 2 and "nothing is not a folder" in capsys.readouterr().err
