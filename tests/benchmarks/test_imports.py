"""The benchmark of imports, in one round."""

import re

import pytest

from tests.benchmarks.running import ROOT, run


@pytest.mark.slow
def test_a_quick_run_measures_both_versions(trained, tmp_path):
    output = tmp_path / "RESULTS.md"
    done = run("imports", "--quick", f"--checkpoint={trained}", f"--before={ROOT}", f"--output={output}")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| [-+][\d.]+ \| ([\d.]+) \| [-+][\d.]+ \|$", output.read_text(), re.M)
    seconds = {label: (float(now), float(before)) for label, now, before in rows}
    assert len(seconds) == 7
    for version in (0, 1):
        torch, plugin = (seconds[f"`import {name}`"][version] for name in ("torch", "recbole_sigma"))
        assert 0 < seconds["Python alone"][version] <= plugin < torch
        assert plugin < seconds["`recbole-sigma recommend` for one history"][version]
