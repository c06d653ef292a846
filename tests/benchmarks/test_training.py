"""The benchmark of training: what it writes and keeps, how it computes its ratios, and how it refuses bad arguments."""

import re

import pytest

from benchmarks.speed import training
from tests.benchmarks.running import ROOT, run

KEPT = "# Speed\n\nA preface.\n\n<!-- training -->\n\n{}\n\n<!-- /training -->\n"


@pytest.mark.slow
def test_a_quick_run_replaces_its_section_and_every_row_has_its_numbers(tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text(KEPT.format("What an earlier run wrote."))
    done = run("training", "--quick", "--threads=1", "--datasets", "ml-100k", "--output", str(path))
    assert done.returncode == 0, done.stderr
    before, section, after = re.split("<!-- /?training -->", path.read_text())
    assert KEPT == f"{before}<!-- training -->\n\n{{}}\n\n<!-- /training -->{after}"
    assert done.stdout.strip() in section and "--output RESULTS.md" in section
    assert str(tmp_path) not in section and str(ROOT) not in section
    rows = re.findall(r"^\| (\w.*?) \| ([\d,.]+) \| (\S+) \| (\S+) \| ([\d,]+) \| (\d+)% \|", section, re.MULTILINE)
    assert [row[0] for row in rows] == [row.name for row in training.ROWS]
    assert rows[0][2] == rows[1][3] == "1.00"
    assert all(0 < int(share) <= 110 for *_, share in rows)


def test_ratios_are_medians_of_those_within_a_round():
    """A machine that is half as fast in one round changes no ratio."""

    def result(epoch, slowness):
        return {
            "epoch": epoch * slowness,
            "evaluation": slowness,
            "operations": 1e9,
            "rate": 1e9 / slowness,
            "targets": 1000,
            "memory": 5,
        }

    rounds = [
        {row.name: result(100 if row.stock else 5, slowness) for row in training.ROWS} for slowness in (1, 2, 1.5)
    ]
    name = training.ROWS[2].name
    cells = training.cells([found[name] for found in rounds], rounds)
    assert cells == ["7.5", "1/20.0", "1/20.0", "133", "20%", "5", "1.50", "1.00"]


@pytest.mark.parametrize(
    "words, message",
    [(["--threads=0"], "at least 1"), (["--output=no/such/folder.md"], "exists"), (["--datasets"], "expected")],
)
def test_bad_arguments_are_refused_before_anything_is_measured(words, message):
    done = run("training", *words)
    assert done.returncode == 2 and message in done.stderr


def test_a_data_set_that_is_not_there_ends_with_what_is_missing():
    done = run("training", "--quick", "--threads=1", "--datasets", "no-such-data", "--data_path", "tests")
    assert done.returncode == 1 and "no-such-data" in done.stderr and "Traceback" not in done.stderr
