"""Which of RecBole's sequential models can be exported in which format; docs/export.md lists them."""

import pytest
import torch

import recbole_sigma
from recbole_sigma.errors import RequestError
from recbole_sigma.export import export_checkpoint, load_weights
from tests.test_stock_models import SEQUENTIAL, SETTINGS, STAGES, data_path, train_one_epoch  # noqa: F401

ASK_FOR_THE_USER = "Caser FOSSIL FPMC HGN HRM NPE SHAN TransRec".split()
ASK_FOR_THE_TARGET = ["GRU4RecCPR", "SASRecCPR"]
SCORE_PAIRS = ["DIEN", "DIN"]
CANNOT_BE_TRACED = "BERT4Rec GCSAN SRGNN".split()
NOT_IN_ONNX = ["FEARec"]
REPRESENTATIVE = ["DIN", "FEARec", "NARM", "SASRecCPR"]
"""Of different outcomes; others are SASRec, FPMC and SRGNN in test_exporting.py."""


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=pytest.mark.slow if model in REPRESENTATIVE else pytest.mark.exhaustive)
        for model in SEQUENTIAL
    ],
)
def test_a_stock_model_is_exported_or_refused(model, data_path, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    result = None
    for stage in STAGES.get(model, [{}]):
        before = {} if result is None else {"pre_model_path": result["checkpoint"]}
        result = train_one_epoch(model, data_path, **{**SETTINGS.get(model, {}), **stage, **before})
    path = result["checkpoint"]

    rec = recbole_sigma.load(path, device="cpu")
    histories = [rec.catalog.tokens[1:4].tolist(), rec.catalog.tokens[5:30].tolist()]
    weights = export_checkpoint(path, "safetensors").folder
    torch.manual_seed(0)  # some models draw random numbers when they are used
    expected = rec.recommend(histories, users=["1", "2"])
    torch.manual_seed(0)
    assert load_weights(weights, device="cpu").recommend(histories, users=["1", "2"]) == expected

    for format in ("onnx", "torch"):
        if model in ASK_FOR_THE_USER:
            reason = "it asks for 'user_id' beside the history"
        elif model in ASK_FOR_THE_TARGET:
            reason = "it asks for 'item_id' beside the history"
        elif model in SCORE_PAIRS:
            reason = "it scores one item at a time"
        elif model in CANNOT_BE_TRACED or (model in NOT_IN_ONNX and format == "onnx"):
            reason = r"\w+: \S"
        else:
            assert export_checkpoint(path, format).difference < 1e-5
            continue
        with pytest.raises(RequestError, match=f"{model} cannot be exported as {format}: {reason}"):
            export_checkpoint(path, format)
