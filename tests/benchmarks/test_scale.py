"""The benchmark of loading: what it writes and keeps, and how it reports a process that was stopped."""

import re

import numpy as np
import pandas as pd
import pytest

from benchmarks.speed import reporting, scale, scale_data
from tests.benchmarks.running import ROOT, run

KEPT = "# Speed\n\nA preface.\n\n<!-- scale -->\n\n{}\n\n<!-- /scale -->\n"


@pytest.mark.slow
def test_a_quick_run_replaces_its_section_and_both_loaders_have_numbers(tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text(KEPT.format("What an earlier run wrote."))
    done = run("scale", "--quick", "--repeats=1", "--output", str(path))
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    before, section, after = re.split("<!-- /?scale -->", text)
    assert KEPT == f"{before}<!-- scale -->\n\n{{}}\n\n<!-- /scale -->{after}"
    assert done.stdout.strip() in section and "--output RESULTS.md" in section
    assert str(tmp_path) not in text and str(ROOT) not in text
    rows = re.findall(r"^\| 20,000 \| (\w+) \| [\d.]+ \| [\d.]+ \| [\d,]+ \| ([\d,]+) \|$", section, re.MULTILINE)
    assert [loader for loader, _ in rows] == ["recbole_sigma", "recbole"]
    assert len({left for _, left in rows}) == 1


@pytest.mark.parametrize("limit, reason", [({"time_limit": 1}, "stopped after 1 s"), ({"memory_limit": 0.05}, ".+")])
def test_a_process_that_is_stopped_leaves_its_reason(limit, reason, tmp_path):
    scale_data.write(str(tmp_path), "toy", 2_000, seed=0)
    arguments = scale.parse(["--repeats=1"])
    vars(arguments).update(limit)
    first, *others = scale.measure("recbole_sigma", str(tmp_path), "toy", arguments)
    assert re.fullmatch(reason, first) and not re.fullmatch(r"[\d.]+", first)
    assert others == [""] * 3


@pytest.mark.parametrize("words, message", [(["--sizes=0"], "at least 1"), (["--output=no/such/folder.md"], "exists")])
def test_bad_arguments_are_refused_before_anything_is_measured(words, message):
    done = run("scale", *words)
    assert done.returncode == 2 and message in done.stderr


def test_the_synthetic_file_has_a_few_frequent_users_and_items_and_a_seed(tmp_path):
    frames = []
    for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
        written = scale_data.write(str(tmp_path), name, 50_000, seed)
        frames.append(pd.read_csv(tmp_path / name / f"{name}.inter", sep="\t", dtype=str))
    assert frames[0].equals(frames[1]) and not frames[0].equals(frames[2])
    assert len(frames[0]) == 50_000 and written["users"] == 344 and written["items"] == 67
    assert frames[0]["timestamp:float"].astype(int).between(scale_data.FIRST_TIME, scale_data.LAST_TIME).all()
    for column in ("user_id:token", "item_id:token"):
        count = np.sort(frames[0][column].value_counts().to_numpy())
        assert count[-len(count) // 10 :].sum() > 0.3 * count.sum()


def test_a_child_that_takes_too_long_is_stopped(tmp_path, monkeypatch):
    (tmp_path / "sleeping.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(reporting.ChildFailed, match="stopped after 1 s"):
        reporting.run_child("sleeping", {}, seconds=1)
