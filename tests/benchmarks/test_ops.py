"""The benchmark of the operations: what it writes, what it keeps, and how it refuses bad arguments."""

import os
import re

import pytest

from benchmarks.speed import ops, reporting
from tests.benchmarks.running import ROOT, run

CPU = {"device": "cpu", "gpu_memory": 0}
KEPT = "# Speed\n\nA preface.\n\n<!-- ops -->\n\n{}\n\n<!-- /ops -->\n\n<!-- training -->\n\n42\n\n<!-- /training -->\n"


@pytest.mark.slow
def test_a_quick_run_replaces_its_section_and_every_row_has_a_number_or_a_reason(tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text(KEPT.format("What an earlier run wrote."))
    done = run("ops", "--quick", "--output", str(path))
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    before, section, after = re.split("<!-- /?ops -->", text)
    assert KEPT == f"{before}<!-- ops -->\n\n{{}}\n\n<!-- /ops -->{after}"
    assert done.stdout.strip() in section
    for part in (
        "Date: ",
        "CPU: ",
        "avx512_bf16: ",
        "GPU: ",
        "torch ",
        "triton ",
        "Matrix rates",
        "--output RESULTS.md",
    ):
        assert part in section
    assert ("GPU: none" in section) == (ops.NO_GPU in section)
    assert str(tmp_path) not in text and str(ROOT) not in text
    rows = re.findall(r"^\| (\w.*?) \| (.+?) \|", section, re.MULTILINE)[1:]
    assert {row.name for row in (*ops.EVERYWHERE, ops.SAMPLED)} <= {name for name, _ in rows}
    assert all(re.fullmatch(r"[\d,]+\.\d\d|[A-Za-z].+", value) for _, value in rows)
    if "GPU: none" in section:
        assert all(re.fullmatch(r"[\d,]+\.\d\d", value) for _, value in rows)


def test_a_section_is_replaced_again_and_again():
    once = reporting.replace_section(reporting.TITLE, "ops", "first")
    assert once == "# Speed\n\n<!-- ops -->\n\nfirst\n\n<!-- /ops -->\n"
    both = reporting.replace_section(once, "training", "second")
    assert reporting.replace_section(both, "ops", "third") == both.replace("first", "third")
    assert reporting.replace_section(both, "training", "second") == both


@pytest.mark.parametrize(
    "words, message",
    [
        (["--cases=beauty,nothing"], "unknown case 'nothing'; expected beauty, "),
        (["--threads=0"], "at least 1"),
        (["--output=no/such/folder.md"], "a folder that exists"),
        (["--output={path}"], "does not end with <!-- /ops -->"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_measured(words, message, tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text("<!-- ops -->\n")
    done = run("ops", *(word.format(path=path) for word in words))
    assert done.returncode == 2
    assert message in done.stderr


def test_scores_that_do_not_fit_are_not_tried():
    case = ops.BY_NAME["1m"]
    skipped = [row.name for row in ops.rows_of(case, "cpu") if ops.reason_to_skip(case, row, CPU)]
    assert skipped == ["baseline, float32", "baseline, bfloat16", "naive, float32"]
    assert ops.reason_to_skip(case, ops.BASELINE, CPU) == "skipped: needs about 24.6 GB, more than 6.0 GB"
    assert not any(ops.reason_to_skip(ops.BY_NAME["100k"], row, CPU) for row in ops.EVERYWHERE)


def test_rows_for_a_gpu(monkeypatch):
    monkeypatch.setattr(ops, "_is_installed", lambda package: package == "liger_kernel")
    assert ops.missing("cuda") == ["cut_cross_entropy is not installed: its rows are skipped."]
    losses = {name: {row.loss for row in ops.rows_of(ops.BY_NAME[name], "cuda")} for name in ("gpu-10k", "gpu-1m-k1")}
    assert losses["gpu-10k"] == {"baseline", "naive", "tiled", "triton"}
    assert losses["gpu-1m-k1"] == losses["gpu-10k"] | {"liger", "pytorch", "sampled"}


@pytest.mark.parametrize(
    "program, reason",
    [
        ("raise ValueError('a | b')", r"ValueError: a \| b"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ],
)
def test_a_child_that_fails_leaves_its_reason_in_the_table(program, reason, tmp_path, monkeypatch):
    (tmp_path / "failing.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    with pytest.raises(reporting.ChildFailed) as failure:
        reporting.run_child("failing", {})
    failed = ops.Measurement(ops.BASELINE, str(failure.value))
    fine = ops.Measurement(ops.EVERYWHERE[3], rounds=[{"times": [1.0, 3.0], "memory": 5.0}])
    table = ops.report(ops.BY_NAME["quick"], [failed, fine], {"float32": 10.0})
    assert f"| baseline, float32 | {reason} |  |" in table
    assert "| tiled, float32 | 2.00 | 1.00 | 5.0 | 38.4 | 384% | - |" in table


def test_ratios_are_taken_within_a_round():
    def found(*rounds):
        return ops.Measurement(ops.BASELINE, rounds=[{"times": [time], "memory": 0.0} for time in rounds])

    assert found(1.0, 20.0, 3.0).ratio(found(2.0, 40.0, 3.0)) == "0.50"
