"""The benchmark of a training step."""

import re

import pytest

from tests.benchmarks.running import ROOT, run


@pytest.mark.slow
def test_a_quick_run_compares_all_rows_with_the_first_one(tmp_path):
    path = tmp_path / "RESULTS.md"
    done = run("steps", "--quick", "--datasets", "ml-100k", "--output", str(path))
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert str(tmp_path) not in text and str(ROOT) not in text
    assert "### ml-100k: " in text and "mean of 2 batches" in text
    rows = dict(re.findall(r"^\| (SASRecAP|SIGMA[^|]*?) \| [\d.,]+ \| ([\d.]+) \|$", text, re.MULTILINE))
    assert list(rows) == ["SASRecAP", "SIGMA", "SIGMA, mie_share 1", "SIGMA, prior standard"]
    assert rows["SASRecAP"] == "1.00" and float(rows["SIGMA, mie_share 1"]) > float(rows["SIGMA"]) > 1


def test_bad_arguments_are_refused_before_anything_is_measured():
    done = run("steps", "--batches=0")
    assert done.returncode == 2 and "at least 1" in done.stderr
