"""The comparison with an older commit: it sees every bit, takes each tree's own files, and leaves nothing behind."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import side_by_side
from benchmarks.speed.reporting import ChildFailed
from tests.benchmarks.running import ROOT

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the commits of the repository")


@pytest.fixture
def children(tmp_path):
    return side_by_side.Children(sys.executable, 1, tmp_path)


@pytest.mark.slow
def test_a_commit_is_the_same_as_itself_until_a_default_in_its_files_changes(children, monkeypatch):
    monkeypatch.setattr(side_by_side, "SHOWN", 10**6)
    tasks = {"BPR": side_by_side.trainings(None)["BPR"]}
    with side_by_side.checked_out("HEAD") as older, side_by_side.checked_out("HEAD") as present:
        expected = side_by_side.values_of(older, children, tasks)
        text, same = side_by_side.comparison(expected, side_by_side.values_of(present, children, tasks))
        assert same and text == f"The bits differ nowhere: {len(expected):,} values compared, of {_size(expected)}."
        defaults = present / "properties" / "model" / "SIGMA.yaml"
        text, replaced = re.subn(r"(?m)^interest_temperature: 1.0", "interest_temperature: 1.25", defaults.read_text())
        defaults.write_text(text)
        text, same = side_by_side.comparison(expected, side_by_side.values_of(present, children, tasks))
    assert replaced == 1 and not same
    assert "- case mixture: loss 0: " in text
    assert not any(name in text for name in ("SASRecAP", "standard", "training BPR"))
    assert any(name.startswith("training BPR: state ") for name in expected)


def _size(values):
    return f"{sum(value.size for value in values.values()):,} numbers"


def test_a_single_bit_is_noticed():
    older = {
        "case a: loss 0": np.float32(1),
        "case a: scores": np.arange(3.0),
        "training b: test_result x": np.zeros(()),
    }
    assert side_by_side.comparison(older, older) == ("The bits differ nowhere: 3 values compared, of 5 numbers.", True)
    other = {
        **older,
        "case a: scores": np.array([0, 1, np.nextafter(2, 3)]),
        "training b: test_result x": -np.zeros(()),
    }
    text, same = side_by_side.comparison(older, other)
    assert not same and text.splitlines() == [
        "The bits differ in 2 places: 3 values compared, of 5 numbers.",
        "- case a: scores: 1 of 3 numbers, by 4.4e-16 at most",
        "- training b: test_result x: 0.0 and -0.0",
    ]


def test_what_a_tree_lacks_is_a_difference_unless_it_belongs_to_a_checkpoint():
    older = {"case a: loss 0": np.zeros(()), "training b: state weight": np.zeros(2)}
    present = {
        "case a: loss 1": np.zeros(()),
        "training b: state weight": np.zeros(2),
        "training b: state step": np.zeros(1),
    }
    text, same = side_by_side.comparison(older, present)
    assert not same and text.splitlines() == [
        "The bits differ in 2 places: 1 values compared, of 2 numbers.",
        "- case a: loss 0: only in the older tree",
        "- case a: loss 1: only in the present tree",
        "Not compared, only in the present tree: training b: state step",
    ]
    text, same = side_by_side.comparison({**present, "training b: state weight": np.zeros(3)}, present)
    assert not same and "- training b: state weight: float64[3] and float64[2]" in text


def test_code_of_another_tree_is_refused(children, tmp_path):
    (tmp_path / "tree").mkdir()
    with pytest.raises(ChildFailed, match=r"imports in .*: (ModuleNotFoundError|ImportError)"):
        children.run(tmp_path / "tree", "imports", name="recbole_sigma")


def test_no_such_commit_ends_with_what_git_says():
    command = [sys.executable, "-m", "benchmarks.side_by_side", "--commit", "no-such-commit"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "no-such-commit" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [[], ["--commit", "HEAD", "--time", "0"], ["--commit", "HEAD", "--threads", "none"]])
def test_bad_arguments_are_refused(words):
    with pytest.raises(SystemExit, match="2"):
        side_by_side.parse(words)


@pytest.mark.slow
def test_the_command_says_nowhere_and_ends_well():
    command = [sys.executable, "-m", "benchmarks.side_by_side", "--commit", "HEAD", "--cases", "--threads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("The bits differ nowhere: ")


@pytest.mark.slow
def test_the_table_of_costs_has_a_row_for_each(children, monkeypatch):
    monkeypatch.setattr(side_by_side, "TIMED", ("SASRecAP",))
    text = side_by_side.time_report(ROOT, ROOT, children, 1, ["--commit", "HEAD", "--time", "1"])
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 2 * len(side_by_side.TIMED) + 2
    assert all(0 < float(cell.strip(" |").replace(",", "")) < 1e6 for row in rows[2:] for cell in row[1:])


def test_it_leaves_nothing_in_the_folder_of_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(RuntimeError), side_by_side.checked_out("HEAD") as older:
        assert (older / "recbole_sigma").is_dir() and os.listdir(tmp_path)
        raise RuntimeError
    assert os.listdir(tmp_path) == []
