"""A small table that is really run: stopped, gone on with, with a run that fails and one that is killed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from benchmarks.paper import records, run
from benchmarks.paper.plan import plan, read_table
from benchmarks.paper.ranks import decode
from benchmarks.paper.significance import metric_of_users
from tests.benchmarks.made_up import record, write_table
from tests.benchmarks.running import ROOT

SMALL = {"hidden_size": 16, "inner_size": 16, "MAX_ITEM_LIST_LENGTH": 10}
ROWS = [
    {"label": "BPR", "model": "BPR"},
    {"label": "SASRecAP", "model": "SASRecAP", "settings": SMALL},
    {"label": "diverging", "model": "SASRecAP", "settings": {**SMALL, "learning_rate": 1e30}},
]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files of this process and its children."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def small_table(folder, epochs=2, rows=ROWS):
    return write_table(
        folder, rows=rows, datasets={"ml-100k": {"seeds": [1], "settings": {"epochs": epochs, "train_batch_size": 512}}}
    )


def start(table, folder, *words):
    command = [sys.executable, "-m", "benchmarks.paper.run", table, "--dataset=ml-100k", f"--folder={folder}", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def children(process):
    """Ids of the child processes on Linux."""
    return [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def found(folder):
    return records.read(records.results_file(folder, "ml-100k"))


def test_a_table_is_stopped_and_gone_on_with_and_a_run_that_fails_stops_no_other(tmp_path, temporary):
    table = small_table(tmp_path)
    first = start(table, tmp_path)
    wait_for(lambda: found(tmp_path) and children(first))
    first.send_signal(signal.SIGINT)
    out, error = first.communicate()
    assert first.returncode == 130 and "run the same command again to continue" in error
    assert "3 runs, 0 of them done" in out
    assert [record["label"] for record in found(tmp_path)] == ["BPR"]
    assert not list(temporary.glob("run-*"))

    second = start(table, tmp_path, "--jobs=2")
    out, error = second.communicate()
    assert second.returncode == 1, error
    assert "3 runs, 1 of them done before" in out and "failed: diverging, seed 1: TrainingError" in out
    assert sorted(record["label"] for record in found(tmp_path)) == ["BPR", "SASRecAP"]
    (failure,) = records.read(records.failures_file(tmp_path, "ml-100k"))
    assert failure["label"] == "diverging" and failure["given"]["learning_rate"] == 1e30
    assert "Traceback" in failure["traceback"]
    assert not list(temporary.glob("run-*"))

    third = start(table, tmp_path, "--model", "BPR")
    assert "1 runs, 1 of them done before" in third.communicate()[0] and third.returncode == 0
    check_records(tmp_path, table)


def check_records(folder, table):
    planned = {run.label: run for run in plan(read_table(table), "ml-100k", {})}
    text = records.results_file(folder, "ml-100k").read_text()
    assert str(folder) not in text and str(ROOT) not in text
    for line in text.splitlines():
        record = json.loads(line)
        own = planned[record["label"]]
        assert record["settings"] == own.settings and record["hash"] == own.hash
        assert list(record)[-1] == "ranks" and record["epochs"] == 2
        ranks = decode(record["ranks"])
        assert len(ranks) == record["catalog"]["users"] == 938
        for metric, value in record["seen_removed"]["test"].items():
            assert metric_of_users(ranks, metric).mean() == pytest.approx(value, abs=1e-5)
        assert record["seen_ranked"]["test"]["recall@40"] < record["seen_removed"]["test"]["recall@40"]
        assert record["seen_removed"]["valid"] != record["seen_removed"]["test"]
        assert record["seconds"] > record["seconds_per_epoch"] > 0 and record["parameters"] > 1000
        assert {"torch", "recbole"} <= record["versions"].keys() and record["machine"]["threads"] == 1


@pytest.mark.slow
def test_a_child_that_is_killed_is_a_failure_and_the_others_go_on(tmp_path, temporary):
    slow = {"label": "slow", "model": "SASRecAP", "settings": {**SMALL, "epochs": 1000, "stopping_step": 1000}}
    process = start(small_table(tmp_path, rows=[slow, ROWS[0]]), tmp_path)
    wait_for(lambda: children(process))
    os.kill(children(process)[0], signal.SIGKILL)
    out, _ = process.communicate()
    assert process.returncode == 1 and "failed: slow, seed 1: killed by SIGKILL" in out
    assert [record["label"] for record in found(tmp_path)] == ["BPR"]
    assert not list(temporary.glob("run-*"))


@pytest.mark.slow
def test_children_end_with_a_process_that_is_killed_itself(tmp_path, temporary):
    slow = {"label": "slow", "model": "SASRecAP", "settings": {**SMALL, "epochs": 1000, "stopping_step": 1000}}
    process = start(small_table(tmp_path, rows=[slow]), tmp_path)
    wait_for(lambda: list(temporary.glob("run-*/log")))  # it trains
    (child,) = children(process)
    process.kill()
    process.communicate()
    wait_for(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2])
    assert not list(temporary.glob("run-*"))


@pytest.mark.slow
def test_what_has_finished_is_not_lost_when_the_grid_is_interrupted(tmp_path, monkeypatch):
    """Both runs have ended when the outcome of the first one is handled, and that is interrupted."""
    table = small_table(tmp_path, rows=[ROWS[0], {**ROWS[0], "label": "again", "settings": {"embedding_size": 8}}])
    seen = []

    def interrupted(outcome):
        seen.append(outcome)
        wait_for(lambda: len(found(tmp_path)) == 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "summary", interrupted)
    assert run.main([table, "--dataset=ml-100k", f"--folder={tmp_path}", "--jobs=2"]) == 130
    assert len(seen) == 1 and sorted(record["label"] for record in found(tmp_path)) == ["BPR", "again"]


def test_a_run_that_another_process_does_is_left_to_it_and_is_not_done(tmp_path, capsys, monkeypatch):
    table = small_table(tmp_path, rows=ROWS[:1])
    monkeypatch.setattr(records.Claims, "take", lambda self, name: False)
    assert run.main([table, "--dataset=ml-100k", f"--folder={tmp_path}"]) == 1
    assert "1 runs are being done by another process" in capsys.readouterr().out


def test_a_run_that_another_process_has_just_finished_is_not_run_again(tmp_path, monkeypatch):
    table = small_table(tmp_path, rows=ROWS[:1])
    (own,) = plan(read_table(table), "ml-100k", {})
    grid = run.Grid([own], "ml-100k", tmp_path, 1)
    missing = grid.missing()
    records.append(grid.results, record(own))
    assert missing == [own] and list(grid.free(missing)) == []


@pytest.mark.parametrize(
    "words, message",
    [
        (["table9", "--dataset=ml-100k"], "table 'table9' is not known; expected figure2, search"),
        (["table2", "--dataset=ml-100k"], "data set 'ml-100k' is not in table2; expected amazon-office-products"),
        (["table2", "--dataset=amazon-beauty", "--model", "Foo"], "model 'Foo' is not in table2; expected BPR"),
        (["table2", "--dataset=amazon-beauty", "--seeds", "1"], "seed 1 is not in table2; expected 2020"),
        (["table2", "--dataset=amazon-beauty", "--data_path=none"], "amazon-beauty.inter does not exist; --data_path"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(tmp_path, words, message, capsys):
    assert run.main([*words, f"--folder={tmp_path}"]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["table2"], ["table2", "--dataset=ml-100k", "--jobs=0"], ["--dataset=ml-100k"]])
def test_arguments_that_are_none_are_refused(words):
    with pytest.raises(SystemExit) as end:
        run.main(words)
    assert end.value.code == 2
