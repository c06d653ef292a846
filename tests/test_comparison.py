"""Comparisons: the same split and evaluation, settings for the models that know them, failures in their rows."""

import json

import pytest

from recbole_sigma import compare_models
from recbole_sigma.cli import main
from recbole_sigma.errors import ConfigError
from recbole_sigma.model import SIGMA

SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10, "epochs": 1, "num_categories": 2}


@pytest.fixture
def settings(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {"data_path": str(toy_path), **SMALL}


def test_each_model_has_a_row_and_gets_the_settings_it_knows(settings):
    result = compare_models(["SIGMA", "SASRec", "BPR", "Pop"], "toy", config_dict=settings)
    assert [row["model"] for row in result["rows"]] == ["SIGMA", "SASRec", "BPR", "Pop"]
    assert all(row["test_result"] and row["remove_seen"] for row in result["rows"])
    written = json.loads(open(result["json"]).read())
    assert written["rows"] == result["rows"]
    assert {"date", "versions", "machine", "settings"} <= written.keys()
    assert result["table"] in open(result["markdown"]).read()
    lines = result["table"].splitlines()
    assert [line.startswith("|") for line in lines[: 2 + 4 + 1]] == [True] * (2 + 4) + [False]
    assert not any(line.startswith("|") for line in lines[2 + 4 :])


def test_a_key_that_no_model_knows_raises_an_error_before_training(settings, tmp_path):
    with pytest.raises(ConfigError, match="hiden_size"):
        compare_models(["SIGMA", "BPR"], "toy", config_dict={**settings, "hiden_size": 4})
    assert not (tmp_path / "saved").exists()


def test_a_model_that_fails_is_reported_and_the_others_continue(settings, monkeypatch, capsys):
    def fail(self, interaction, num_targets=None):
        raise RuntimeError("out of luck | twice")

    monkeypatch.setattr(SIGMA, "step_loss", fail)
    words = [f"--{key}={value}" for key, value in settings.items()]
    assert main(["--model=SIGMA,BPR", "--dataset=toy", *words]) == 1
    out = capsys.readouterr().out
    assert "failed: RuntimeError: out of luck \\| twice" in out
    assert "| BPR   |" in out and "failed" not in out.split("| BPR")[1]
