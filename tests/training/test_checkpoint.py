"""Checkpoints survive a round trip and every way of being damaged."""

import os
import pickle
import signal

import numpy as np
import pytest
import torch
from scipy import sparse

from recbole_sigma.errors import CheckpointError
from recbole_sigma.training import checkpoint
from tests.training.interrupted import PROCESSES, TIMEOUT


def state(**parts):
    return {
        "model": "M",
        "config": {},
        "metadata": None,
        "state_dict": {"w": torch.arange(3.0)},
        "other_parameter": {},
        **parts,
    }


class Model(torch.nn.Module):
    def __init__(self, size=3):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(size))

    def load_other_parameter(self, other):
        self.other = other


def test_what_was_saved_is_read_by_the_safe_loader(tmp_path):
    path = tmp_path / "new" / "a.pth"
    checkpoint.save(state(config={"seed": 1, "topk": [20]}, best_valid_score=np.float64(0.25)), path)
    raw = torch.load(path, weights_only=True)
    assert raw["best_valid_score"] == 0.25
    assert raw["config"] == {"seed": 1, "topk": [20]}
    loaded = checkpoint.load(path)
    model = Model()
    checkpoint.restore(model, loaded, str(path), "M", None)
    assert torch.equal(model.w, torch.arange(3.0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, bool])
def test_arrays_of_models_come_back_as_they_were(tmp_path, dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    checkpoint.save(state(other_parameter={"a": array, "t": torch.ones(2), "n": None, "k": 3}), tmp_path / "a.pth")
    other = checkpoint.load(tmp_path / "a.pth")["other_parameter"]
    np.testing.assert_array_equal(other["a"], array)
    assert other["a"].dtype == array.dtype
    assert other["n"] is None and other["k"] == 3 and torch.equal(other["t"], torch.ones(2))


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix", "coo_matrix", "lil_matrix", "dok_matrix", "csr_array"])
def test_sparse_matrices_of_models_come_back_as_they_were(tmp_path, kind):
    matrix = getattr(sparse, kind)(np.diag([0.0, 2.0, 3.0]))
    checkpoint.save(state(other_parameter={"m": matrix}), tmp_path / "a.pth")
    loaded = checkpoint.load(tmp_path / "a.pth")["other_parameter"]["m"]
    assert type(loaded) is type(matrix)
    np.testing.assert_array_equal(loaded.toarray(), matrix.toarray())


def test_a_sparse_matrix_with_indices_out_of_range_is_refused(tmp_path):
    """Another format would be written to beyond its memory."""
    count = 2000
    matrix = {"__kind__": "sparse", "format": "csc", "array": False, "shape": [2, 2], "data": torch.ones(count)}
    matrix.update(indices=torch.full((count,), 50_000_000), indptr=torch.tensor([0, count, count]))
    torch.save({"format": checkpoint.FORMAT, **state(other_parameter={"m": matrix})}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(tmp_path / "a.pth")


def test_tensors_go_to_the_device_of_the_model(tmp_path):
    checkpoint.save(
        state(other_parameter={"t": torch.ones(2), "a": np.ones(2), "l": [torch.ones(1)]}), tmp_path / "a.pth"
    )
    model = Model().to("meta")
    checkpoint.restore(model, checkpoint.load(tmp_path / "a.pth"), "a.pth", "M")
    assert model.other["t"].device.type == model.other["l"][0].device.type == "meta"
    np.testing.assert_array_equal(model.other["a"], np.ones(2))


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="none.pth does not exist"):
        checkpoint.load(tmp_path / "none.pth")


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(tmp_path, kept):
    path = tmp_path / "a.pth"
    checkpoint.save(state(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if kept < 1 else kept])
    with pytest.raises(CheckpointError, match="truncated"):
        checkpoint.load(path)


def test_a_pickle_with_a_payload_is_refused_and_does_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"format": 1, "state_dict": Payload()}))
    with pytest.raises(CheckpointError):
        checkpoint.load(path)
    torch.save({"format": 1, "state_dict": Payload()}, path)
    with pytest.raises(CheckpointError):
        checkpoint.load(path)
    assert not (tmp_path / "ran").exists()


def test_a_file_of_tensors_that_is_no_checkpoint_is_refused(tmp_path):
    torch.save({"w": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="not a checkpoint of this version"):
        checkpoint.load(tmp_path / "a.pth")


def test_a_checkpoint_of_the_version_before_is_read(tmp_path):
    """Format 2 calls the metadata "catalog"."""
    metadata = {"users": 3, "items": 4, "digest": "x"}
    older = {**state(), "format": 2, "catalog": metadata}
    del older["metadata"]
    torch.save(older, tmp_path / "a.pth")
    loaded = checkpoint.load(tmp_path / "a.pth")
    assert loaded["format"] == checkpoint.FORMAT and loaded["metadata"] == metadata and "catalog" not in loaded


def test_a_checkpoint_that_lacks_a_part_is_refused(tmp_path):
    torch.save({"format": 1, "model": "M"}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="not a checkpoint of this version"):
        checkpoint.load(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "part",
    [
        {"format": torch.tensor([2, 2])},
        {"model": 3},
        {"config": None},
        {"config": {1: 2}},
        {"metadata": []},
        {"metadata": {"users": 1, "items": 1}},
        {"metadata": {"users": 1, "items": 1, "digest": torch.ones(2)}},
        {"state_dict": []},
        {"state_dict": {0: torch.ones(3)}},
        {"other_parameter": [None]},
        {"other_parameter": {0: None}},
    ],
)
def test_entries_of_another_type_are_refused(tmp_path, part):
    torch.save({"format": checkpoint.FORMAT, **state(), **part}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="a.pth is damaged: its entries have other types"):
        checkpoint.load(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "part", [{"config": {"seed": torch.ones(2)}}, {"state_dict": {"w": "text"}}, {"other_parameter": {"w": 3}}]
)
def test_values_that_do_not_fit_the_model_are_refused(tmp_path, part):
    class Stock(Model):
        def load_other_parameter(self, other):  # as RecBole's models do
            for name, value in other.items():
                setattr(self, name, value)

    checkpoint.save(state(**part), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="other settings of M"):
        checkpoint.restore(Stock(), checkpoint.load(tmp_path / "a.pth"), "p", "M", settings={"seed": 1})


def test_a_checkpoint_can_be_read_by_whoever_may_read_new_files(tmp_path):
    (tmp_path / "other").touch()
    checkpoint.save(state(), tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_settings_that_differ_are_named_even_if_every_shape_fits():
    saved = state(config={"n_heads": 2, "seed": 1})
    with pytest.raises(CheckpointError, match=r"n_heads = 2 \(here 4\)"):
        checkpoint.restore(Model(), saved, "p", "M", settings={"n_heads": 4, "new": 1})
    checkpoint.restore(Model(), saved, "p", "M", settings={"n_heads": 2})


def test_checkpoints_of_another_model_settings_or_catalog_are_refused():
    catalog = {"users": 3, "items": 4, "digest": "x"}
    model = Model()
    with pytest.raises(CheckpointError, match="of the model M; expected SIGMA"):
        checkpoint.restore(model, state(), "p", "SIGMA", None)
    with pytest.raises(CheckpointError, match="3 users and 4 items; this data set has 3 users and 5 items"):
        checkpoint.restore(model, state(metadata=catalog), "p", "M", {**catalog, "items": 5, "digest": "y"})
    with pytest.raises(CheckpointError, match="this data set has the same numbers of other users or items"):
        checkpoint.restore(model, state(metadata=catalog), "p", "M", {**catalog, "digest": "y"})
    with pytest.raises(CheckpointError, match="other settings of M"):
        checkpoint.restore(Model(size=2), state(), "p", "M", None)


def test_a_failed_save_leaves_the_older_checkpoint_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.pth"
    checkpoint.save(state(), path)
    before = path.read_bytes()

    def full_disk(obj, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(CheckpointError, match="No space left"):
        checkpoint.save(state(), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.pth"]


def save_and_die(path):
    def half_of_it(obj, file):
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half_of_it
    checkpoint.save(state(), path)


def test_a_process_killed_while_saving_leaves_the_older_checkpoint_whole(tmp_path):
    path = tmp_path / "a.pth"
    checkpoint.save(state(), path)
    before = path.read_bytes()
    process = PROCESSES.Process(target=save_and_die, args=(str(path),))
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode == -signal.SIGKILL
    assert path.read_bytes() == before


def test_values_that_are_no_plain_data_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="type object cannot be saved"):
        checkpoint.save(state(other_parameter={"x": object()}), tmp_path / "a.pth")
    assert os.listdir(tmp_path) == []
