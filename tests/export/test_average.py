"""An average as one program: the lists are those of the average in use, and what cannot be exported says why."""

import json
import shutil

import numpy as np
import onnxruntime
import pytest
import torch

import recbole_sigma
from recbole_sigma.cli import main
from recbole_sigma.errors import CheckpointError, RequestError
from recbole_sigma.export import export_checkpoint, load_weights
from tests.model.toy_interests import ToyInterests

HISTORIES = [["i3", "i7", "i1"], ["i9"], [f"i{number}" for number in range(9)]]


@pytest.fixture(scope="module")
def paths(train_toy):
    """Checkpoints of 3 and 2 vectors of a user; their class is ``ToyInterests``, which is traced in a second."""
    return [train_toy(ToyInterests, num_interests=3, hidden_size=4), train_toy(ToyInterests, num_interests=2)]


@pytest.fixture(scope="module")
def rec(paths):
    return recbole_sigma.load(paths, "cpu", model_class=ToyInterests)


def run_program(folder, format, item_seq):
    if format == "torch":
        with torch.no_grad():
            return torch.export.load(folder / "model.pt2").module()(torch.from_numpy(item_seq)).numpy()
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {"item_seq": item_seq})[0]


@pytest.mark.parametrize("scores", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["vectors", "scores"])
@pytest.mark.parametrize("format", ["torch", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_program_gives_the_lists_of_the_average(paths, rec, tmp_path, format, scores):
    export = export_checkpoint(paths, format, tmp_path / "out", scores=scores, model_class=ToyInterests)
    check(export, rec, format, scores)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["torch", "onnx"])
def test_a_program_of_transformers_gives_the_lists_of_the_average(train_toy, tmp_path, format):
    paths = [train_toy("SIGMA", scorer="interests", num_categories=2), train_toy("SASRecAP", hidden_size=4)]
    export, rec = export_checkpoint(paths, format, tmp_path / "out"), recbole_sigma.load(paths, "cpu")
    check(export, rec, format, scores=False, num_vectors=2)


def check(export, rec, format, scores, num_vectors=6):
    assert export.difference < 1e-5
    tokens = json.loads((export.folder / "items.json").read_text())["tokens"]
    for history, expected in zip(HISTORIES, rec.recommend(HISTORIES, k=40)):
        item_seq = np.array([[tokens.index(token) for token in history]])
        found = run_program(export.folder, format, item_seq)
        if not scores:
            items = np.load(export.folder / "items.npy")
            assert found.shape == (1, num_vectors, 12) and items.shape == (41, 12)
            found = (found @ items.T).max(1)
        found[0, [0, *item_seq[0]]] = -np.inf
        best = [tokens[item] for item in (-found[0]).argsort(kind="stable")]
        assert best[: len(expected.items)] == expected.items
        assert np.allclose(np.sort(found[0])[::-1][: len(expected.scores)], expected.scores, atol=1e-5)


def test_weights_of_all_members_are_one_folder(paths, rec, tmp_path):
    export = export_checkpoint(paths, "safetensors", tmp_path / "out", model_class=ToyInterests)
    found = load_weights(export.folder, "cpu", model_class=ToyInterests)
    assert found.recommend(HISTORIES) == rec.recommend(HISTORIES)
    assert repr(found) == repr(rec) == "Recommender(average of 2 ToyInterests, 40 items, on cpu)"
    tree = json.loads((export.folder / "settings.json").read_text())
    for damage in ({"members": tree["members"][:1]}, {"members": []}, {"members": 3}, {"average": "mean"}):
        (export.folder / "settings.json").write_text(json.dumps({**tree, **damage}))
        with pytest.raises(CheckpointError):
            load_weights(export.folder, "cpu")


def test_the_command_names_the_folder_after_the_first_checkpoint(train_toy, tmp_path):
    paths = [train_toy("SASRecAP", hidden_size=4, seed=seed) for seed in (2020, 1, 2)]
    copies = [shutil.copy(path, tmp_path / f"{name}.pth") for name, path in zip("abc", paths)]
    assert main(["export", "--checkpoint", *map(str, copies), "--format", "safetensors"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-and-2-more-safetensors", "a.pth", "b.pth", "c.pth"]
    text = (tmp_path / "a-and-2-more-safetensors" / "README.md").read_text()
    assert text.startswith("# average of 3 SASRecAP as safetensors")


@pytest.mark.parametrize("format", ["torch", "onnx", "safetensors"])
def test_what_has_no_vectors_is_refused_with_the_reason(paths, train_toy, tmp_path, format):
    with pytest.raises(RequestError, match=f"cannot be exported as {format}: the logarithm of a mean of probabilities"):
        export_checkpoint(paths, format, tmp_path / "out", average="probabilities", model_class=ToyInterests)
    with pytest.raises(RequestError, match=f"cannot be exported as {format}: SASRec has no vectors of users and items"):
        export_checkpoint([train_toy("SASRecAP"), train_toy("SASRec")], format, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_mixture_is_no_product_of_vectors_and_its_weights_are_written(train_toy, tmp_path):
    path = train_toy("SIGMA", posterior="target", num_categories=2)
    for format in ("torch", "onnx"):
        says = (
            f"SIGMA cannot be exported as {format}: its score is a mixture of .*--format safetensors writes its weights"
        )
        with pytest.raises(RequestError, match=says):
            export_checkpoint(path, format, tmp_path / "out")
    folder = export_checkpoint(path, "safetensors", tmp_path / "out").folder
    assert load_weights(folder, "cpu").recommend(HISTORIES) == recbole_sigma.load(path, "cpu").recommend(HISTORIES)
    with pytest.raises(RequestError, match="has no vectors of users and items to search: its score is a mixture"):
        recbole_sigma.load(path, "cpu").index()


def test_members_that_read_different_lengths_are_no_program(train_toy, tmp_path):
    paths = [train_toy("SASRecAP", MAX_ITEM_LIST_LENGTH=own) for own in (10, 3)]
    with pytest.raises(
        RequestError, match="its members read the last 10 and 3 items; expected members of one MAX_ITEM"
    ):
        export_checkpoint(paths, "torch", tmp_path / "out")
    export = export_checkpoint(paths, "safetensors", tmp_path / "out")
    rec = recbole_sigma.load(paths, "cpu")
    assert load_weights(export.folder, "cpu").recommend(HISTORIES) == rec.recommend(HISTORIES)
