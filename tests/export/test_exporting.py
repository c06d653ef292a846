"""Folders of exported models, as the command line writes them and as those use them who have no recbole_sigma."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import recbole_sigma
from recbole_sigma.cli import main
from recbole_sigma.errors import CheckpointError, MissingExtraError, RequestError
from recbole_sigma.export import export_checkpoint, exporting, load_weights
from recbole_sigma.export.items import write_names
from recbole_sigma.recommend.catalog import Catalog
from recbole_sigma.training import checkpoint
from tests.model.toy_interests import ToyInterests

PROGRAMS = {"onnx": "model.onnx", "torch": "model.pt2"}
HISTORIES = [["i3", "i7", "i1"], ["i9"], [f"i{number}" for number in range(25)]]


@pytest.fixture(scope="session")
def by_command(trained, tmp_path_factory):
    """The command that exports SIGMA as ONNX from a checkpoint alone in a folder, and the folder."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "a model.pth").write_bytes(trained.read_bytes())
    words = ["export", "--checkpoint", str(folder / "a model.pth"), "--format", "onnx"]
    done = subprocess.run([sys.executable, "-m", "recbole_sigma", *words], capture_output=True, text=True)
    return done, folder


@pytest.fixture(scope="session")
def exported(by_command, trained, tmp_path_factory):
    """Folders of SIGMA by format."""
    folder = tmp_path_factory.mktemp("exported")
    folders = {name: export_checkpoint(trained, name, folder / name).folder for name in ("torch", "safetensors")}
    return {"onnx": by_command[1] / "a model-onnx", **folders}


@pytest.fixture(scope="module")
def rec(trained):
    return recbole_sigma.load(trained, device="cpu")


def run_readme(folder, absent, history=None):
    """What the code in the README of a folder prints where some packages are not installed, for another history."""
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)[1]
    if history is not None:
        code, replaced = re.subn(r"in \['.*?'\]", lambda _: f"in {history}", code)
        assert replaced == 1
    hidden = f"import sys\nfor name in {absent}: sys.modules[name] = None\n"
    done = subprocess.run([sys.executable, "-c", hidden + code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "format, absent", [("onnx", ["recbole_sigma", "recbole", "torch"]), ("torch", ["recbole_sigma", "recbole", "onnx"])]
)
def test_the_code_of_the_readme_recommends_what_the_model_recommends(exported, rec, format, absent):
    printed = [line.split() for line in run_readme(exported[format], absent).splitlines()]
    (expected,) = rec.recommend([rec.catalog.tokens[1:4].tolist()], k=10)
    assert [item for item, _ in printed] == expected.items
    assert [float(score) for _, score in printed] == pytest.approx(expected.scores, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    "history",
    [[f"i{number}" for number in range(count)] for count in (25, 36)] + [["nothing", "i9"], ["nothing"], []],
    ids=len,
)
def test_the_code_of_the_readme_takes_every_history(exported, rec, history):
    printed = [line.split() for line in run_readme(exported["onnx"], ["recbole_sigma", "torch"], history).splitlines()]
    (expected,) = rec.recommend([history], k=10)
    assert [item for item, _ in printed] == expected.items


def test_the_code_of_the_readme_of_weights_runs(exported):
    assert "i" in run_readme(exported["safetensors"], ["onnx"])


@pytest.mark.parametrize("format", exporting.FORMATS)
def test_items_lie_beside_the_model(exported, rec, format):
    names = json.loads((exported[format] / "items.json").read_text(encoding="utf-8"))
    assert names["tokens"] == rec.catalog.tokens.tolist()
    assert names["titles"][rec.catalog.ids(["i7"])[0]] == "The 7th"
    assert names["popularity"] == rec.catalog.popularity.tolist()
    if format in PROGRAMS:
        vectors = np.load(exported[format] / "items.npy")
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors, rec.model.item_vectors.detach())


def test_titles_may_have_any_letters(tmp_path):
    titles = np.array(["", "The “7th”"], dtype=object)
    tokens = np.array(["[PAD]", "書"], dtype=object)
    catalog = Catalog({"tokens": {"item": tokens}, "titles": titles, "popularity": np.array([0, 3])}, "item")
    write_names(catalog, tmp_path)
    names = json.loads((tmp_path / "items.json").read_text(encoding="utf-8"))
    assert names == {"tokens": tokens.tolist(), "titles": titles.tolist(), "popularity": [0, 3]}


def test_written_programs_do_not_tell_where_they_were_made(exported):
    here = str(Path(recbole_sigma.__file__).parents[1]).encode()
    assert here not in (exported["onnx"] / "model.onnx").read_bytes()
    with zipfile.ZipFile(exported["torch"] / "model.pt2") as archive:
        assert not any(here in archive.read(name) for name in archive.namelist())


def test_weights_have_the_names_and_values_of_the_checkpoint(exported, trained):
    state = checkpoint.load(trained)
    weights = load_file(exported["safetensors"] / "model.safetensors")
    assert weights.keys() == state["state_dict"].keys()
    assert all(torch.equal(weights[name], value) for name, value in state["state_dict"].items())


def test_a_recommender_of_weights_is_that_of_the_checkpoint(exported, rec):
    expected = rec.recommend(HISTORIES, k=10)
    assert load_weights(exported["safetensors"], device="cpu").recommend(HISTORIES, k=10) == expected


@pytest.mark.parametrize("name", ["model.safetensors", "data.safetensors", "settings.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_weights_are_refused(exported, tmp_path, name, damage):
    for path in exported["safetensors"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink() if damage == "missing" else (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="cannot be read.*Expected a folder that recbole-sigma export"):
        load_weights(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda tree: {}, "is not a checkpoint of this version"),
        (lambda tree: {**tree, "format": 1}, "is not a checkpoint of this version"),
        (lambda tree: {name: part for name, part in tree.items() if name != "model"}, "is not a checkpoint of this"),
        (lambda tree: {**tree, "config": []}, "is damaged: its entries have other types"),
        (lambda tree: {**tree, "model": 5}, "is damaged: its entries have other types"),
        (lambda tree: [tree], "cannot be read"),
    ],
)
def test_settings_of_weights_that_are_something_else_are_refused(exported, tmp_path, change, message):
    for path in exported["safetensors"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tree = json.loads((tmp_path / "settings.json").read_text(encoding="utf-8"))
    (tmp_path / "settings.json").write_text(json.dumps(change(tree)))
    with pytest.raises(CheckpointError, match=message):
        load_weights(tmp_path)


# The command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(train_toy, tmp_path):
    """A checkpoint alone in a folder."""
    path = tmp_path / "a model.pth"
    path.write_bytes(train_toy("SASRecAP").read_bytes())
    return path


@pytest.fixture
def small_programs(monkeypatch):
    """Replaces programs, which take seconds to write, by small files."""

    def write(encoder, path):
        path.write_text("a program")
        return encoder.expected

    for format in exporting.PROGRAMS:
        monkeypatch.setitem(exporting.PROGRAMS, format, write)


def test_the_command_says_what_it_wrote_and_nothing_else(by_command):
    done, folder = by_command
    assert (done.returncode, done.stderr) == (0, "")
    *files, last = done.stdout.splitlines()
    assert {line.partition("  ")[0] for line in files} == {str(path) for path in (folder / "a model-onnx").iterdir()}
    assert re.fullmatch(r"largest difference from the model: \S+ of the largest value", last)
    assert sorted(os.listdir(folder)) == ["a model-onnx", "a model.pth"]


def test_a_folder_that_is_not_empty_is_left_alone_unless_asked_for(source, tmp_path, capsys):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    (folder / "README.md").write_text("old")
    words = ["export", "--checkpoint", str(tmp_path), "--format", "safetensors", "--output", str(folder)]
    assert main(words) == 2
    assert "out is not empty; expected a new folder, or --overwrite" in capsys.readouterr().err
    assert (folder / "README.md").read_text() == "old"
    assert main([*words, "--overwrite"]) == 0
    assert (folder / "mine.txt").read_text() == "mine"
    assert (folder / "README.md").read_text().startswith("# SASRecAP as safetensors")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_export_over_another_leaves_none_of_its_files_and_all_of_the_user(source, tmp_path, small_programs):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "README.md").write_text("My `model.onnx`.")
    (folder / "model.onnx").write_text("mine")
    for format in ("torch", "safetensors", "torch"):
        files = export_checkpoint(source, format, folder, overwrite=True).files
        assert sorted(os.listdir(folder)) == sorted([*files, "model.onnx"])
    (folder / "settings.json").write_text("mine")  # of no older export, as that was a program
    assert "settings.json" not in export_checkpoint(source, "torch", folder, overwrite=True).files
    assert (folder / "settings.json").read_text() == (folder / "model.onnx").read_text() == "mine"


@pytest.mark.parametrize("failure", [OSError("no space left"), KeyboardInterrupt(), RuntimeError("no such operator")])
def test_an_export_that_fails_leaves_nothing(source, failure, monkeypatch):
    def write(encoder, path):
        path.write_text("half")
        raise failure

    monkeypatch.setitem(exporting.PROGRAMS, "onnx", write)
    expected = RequestError if isinstance(failure, RuntimeError) else type(failure)
    with pytest.raises(expected) as raised:
        export_checkpoint(source, "onnx")
    assert os.listdir(source.parent) == [source.name]
    if expected is RequestError:
        assert "SASRecAP cannot be exported as onnx: RuntimeError: no such operator. " in str(raised.value)


@pytest.mark.parametrize(
    "format, module, extra",
    [
        ("onnx", "onnx", "onnx"),
        ("onnx", "onnxscript", "onnx"),
        ("onnx", "onnxruntime", "onnx"),
        ("safetensors", "safetensors.torch", "safetensors"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(source, format, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'recbole-sigma\[{extra}\]'"):
        export_checkpoint(source, format)
    assert os.listdir(source.parent) == [source.name]


def test_what_cannot_be_is_refused(source, tmp_path):
    with pytest.raises(RequestError, match="format is 'tflite'; expected one of onnx, torch, safetensors"):
        export_checkpoint(source, "tflite")
    with pytest.raises(RequestError, match="safetensors contain weights and no program"):
        export_checkpoint(source, "safetensors", scores=True)
    with pytest.raises(RequestError, match="is a file; expected a folder"):
        export_checkpoint(source, "safetensors", source)
    with pytest.raises(CheckpointError, match="none.pth does not exist"):
        export_checkpoint(tmp_path / "none.pth", "onnx")


@pytest.mark.parametrize("format", ["torch", "safetensors"])
def test_a_model_of_the_users_is_exported_with_its_class(train_toy, format, tmp_path):
    path = train_toy(ToyInterests, num_interests=3)
    with pytest.raises(CheckpointError, match="is of ToyInterests, .* expected its class as well"):
        export_checkpoint(path, format, tmp_path / "out")
    result = export_checkpoint(path, format, tmp_path / "out", model_class=ToyInterests)
    assert result.difference < 1e-5
    if format == "safetensors":
        expected = recbole_sigma.load(path, device="cpu", model_class=ToyInterests).recommend(HISTORIES)
        assert load_weights(result.folder, device="cpu", model_class=ToyInterests).recommend(HISTORIES) == expected
        assert "model_class=ToyInterests" in (result.folder / "README.md").read_text()


# RecBole's models ----------------------------------------------------------------------------------------------------


def test_a_stock_model_gives_scores(train_toy, tmp_path):
    result = export_checkpoint(train_toy("SASRec"), "onnx", tmp_path / "out")
    assert result.files == ["model.onnx", "README.md", "items.json"]
    assert result.difference < 1e-5
    printed = [line.split() for line in run_readme(result.folder, ["recbole_sigma", "recbole", "torch"]).splitlines()]
    rec = recbole_sigma.load(train_toy("SASRec"), device="cpu")
    (expected,) = rec.recommend([rec.catalog.tokens[1:4].tolist()], k=10)
    assert [item for item, _ in printed] == expected.items


@pytest.mark.parametrize(
    "model, message",
    [
        ("FPMC", "FPMC cannot be exported as torch: it asks for 'user_id' beside the history; expected"),
        ("SRGNN", r"SRGNN cannot be exported as torch: RuntimeError: .*--format safetensors writes its weights"),
    ],
)
def test_a_stock_model_that_cannot_be_traced_is_refused_and_its_weights_are_not(train_toy, model, message, tmp_path):
    path = train_toy(model)
    with pytest.raises(RequestError, match=message):
        export_checkpoint(path, "torch", tmp_path / "out")
    assert not list(tmp_path.iterdir())
    folder = export_checkpoint(path, "safetensors", tmp_path / "out").folder
    expected = recbole_sigma.load(path, device="cpu").recommend(HISTORIES, k=10)
    assert load_weights(folder, device="cpu").recommend(HISTORIES, k=10) == expected
