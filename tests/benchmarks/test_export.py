"""The benchmark of exported models, on a checkpoint of a small one."""

import re
import shutil

import pytest

from recbole_sigma import run_recbole_sigma
from tests.benchmarks.running import run


@pytest.mark.slow
def test_a_quick_run_has_a_row_for_the_model_and_each_format(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"data_path": str(toy_path), "epochs": 1, "MAX_ITEM_LIST_LENGTH": 12, "state": "error"}
    shutil.copy(run_recbole_sigma("SIGMA", "toy", config_dict=settings)["checkpoint"], tmp_path / "small.pth")
    output = tmp_path / "RESULTS.md"
    words = ["--quick", "--threads=1", "--checkpoints", str(tmp_path / "small.pth"), "--output", str(output)]
    done = run("export", *words)
    assert done.returncode == 0, done.stderr
    rows = re.findall(
        r"^\| small \| 40 \| 12 \| (.+?) \| (.*?) \| .*? \| [\d.]+ \| [\d.]+ \|$", output.read_text(), re.M
    )
    assert [name for name, _ in rows] == ["the model", "onnx", "torch"]
    assert rows[0][1] == "" and all(float(size) > 0 for _, size in rows[1:])
