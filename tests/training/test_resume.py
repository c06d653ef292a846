"""Which interrupted run resumes, and what is refused. Everything in one process; ``test_killed.py`` kills processes."""

import os
import time
from pathlib import Path

import pytest
import torch

from recbole_sigma import run_recbole_sigma
from recbole_sigma.cli import main
from recbole_sigma.config import Config
from recbole_sigma.errors import CheckpointError, ConfigError
from recbole_sigma.training import checkpoint
from recbole_sigma.training.resume import ResumableRun, find_interrupted
from recbole_sigma.training.trainer import ResumableTrainer
from tests.training.interrupted import TIMEOUT, start
from tests.training.test_killed import only_the_checkpoint_is_left, settings

RUN = "SASRecAP-toy-20260101-000000-aaaaaaaa"


class Killed(BaseException):
    """In place of a signal, for tests of files and not of processes."""


@pytest.fixture
def stopped(toy_path, tmp_path, monkeypatch):
    """Run SASRecAP until the second validation, and leave the state of its second epoch."""
    monkeypatch.chdir(tmp_path)

    def stop(**others):
        validate = ResumableTrainer._valid_epoch

        def stops(self, *args, **kwargs):
            if self.epoch == 1:
                raise Killed
            return validate(self, *args, **kwargs)

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(ResumableTrainer, "_valid_epoch", stops)
            run_recbole_sigma("SASRecAP", "toy", config_dict=settings(toy_path, "SASRecAP", **others))
        return max((tmp_path / "saved").glob("*.resume"), key=os.path.getmtime)

    return stop


@pytest.fixture
def resume(toy_path):
    def resume(model="SASRecAP", **others):
        return run_recbole_sigma(model, "toy", config_dict=settings(toy_path, "SASRecAP", resume=True, **others))

    return resume


def test_a_resumed_run_keeps_its_name_log_and_history(stopped, resume, monkeypatch):
    """Another number of threads, which may change the last digits, gives a warning."""
    path = stopped()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    result = resume(show_progress=True, state="WARNING")
    assert path.stem in result["checkpoint"] and path.stem in result["log"]
    history = checkpoint.load(result["checkpoint"])["history"]
    assert [epoch["epoch"] for epoch in history] == list(range(len(history))) and result["epochs"] == len(history)
    text = open(result["log"]).read()
    assert "epoch 0 training" in text and text.count("'resume': ") == 0
    assert "resumes with recbole_sigma" in text and "threads 99" in text


def test_without_an_interrupted_run_a_new_one_begins(resume, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = resume()
    assert "saved has no interrupted run to resume: begin with the first epoch" in open(result["log"]).read()


def test_runs_of_other_settings_are_not_resumed_and_the_settings_are_named(stopped, resume, tmp_path):
    path = stopped()
    with pytest.raises(ConfigError, match=r"hidden_size = 8 \(here 16\), learning_rate = 0.02 \(here 0.01\)") as error:
        resume(hidden_size=16, learning_rate=0.01)
    assert path.name in str(error.value)
    assert resume(seed=1)["seed"] == 1  # another seed is another run
    assert path.exists()
    resume()
    assert not path.exists()


def test_a_run_in_progress_is_not_resumed_a_second_time(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = settings(toy_path, "SASRecAP", epochs=3000, stopping_step=3000)
    process = start(tmp_path, "SASRecAP", given)
    try:
        for _ in range(TIMEOUT * 20):
            if list(tmp_path.glob("saved/*.resume")):
                break
            time.sleep(0.05)
        (path,) = tmp_path.glob("saved/*.resume")
        config = Config("SASRecAP", "toy", config_dict=given)
        with pytest.raises(ConfigError, match=f"the run {path.stem} is still in progress"):
            find_interrupted(config)
        with pytest.raises(ConfigError, match="still in progress"):
            ResumableRun(tmp_path / "saved", path.stem, {})
        others = Config("SASRecAP", "toy", config_dict={**given, "hidden_size": 16})
        assert find_interrupted(others) is None  # as in a grid of runs at the same time
    finally:
        process.kill()
        process.join(TIMEOUT)
    assert find_interrupted(config) == path.stem


@pytest.fixture
def config(toy_path, tmp_path):
    return Config("SASRecAP", "toy", config_dict={**settings(toy_path, "SASRecAP"), "checkpoint_dir": str(tmp_path)})


def save_a_state(run):
    losses = {"step_losses": torch.zeros(0, 1), "loss_terms": {}}
    run.save({"data": "", "epoch": 0, "random": {}, "bookkeeping": {}, **losses})


@pytest.fixture
def begun(config):
    """A run that this process works on and whose state it has saved."""
    with ResumableRun(config["checkpoint_dir"], RUN, config.plain_dict()) as run:
        save_a_state(run)
        yield run


def test_a_run_is_in_progress_for_its_own_process_too(begun, config):
    for _ in range(2):
        with pytest.raises(ConfigError, match=f"the run {RUN} is still in progress"):
            find_interrupted(config)
        with pytest.raises(ConfigError, match="still in progress"):
            ResumableRun(begun.folder, RUN, {})
    begun.__exit__()
    assert find_interrupted(config) == RUN


def test_the_newest_of_several_interrupted_runs_is_resumed(begun, config):
    begun.__exit__()
    other = RUN.replace("a" * 8, "b" * 8)
    with ResumableRun(begun.folder, other, config.plain_dict()) as run:
        save_a_state(run)
    os.utime(begun.path, (1, 1))
    assert find_interrupted(config) == other
    os.utime(run.path, (0, 0))
    assert find_interrupted(config) == RUN


@pytest.mark.parametrize("moment", ["before its time is read", "before it is read", "before its lock is tested"])
def test_a_run_that_ends_during_the_search_is_not_found(begun, config, monkeypatch, moment):
    begun.__exit__()
    owner, name = (Path, "glob") if moment == "before its time is read" else (checkpoint, "load")
    original = getattr(owner, name)

    def ends(*args, **given):
        if moment == "before it is read":
            begun.remove()
        result = original(*args, **given)
        if name == "glob":
            result = list(result)
        if begun.path in result or moment == "before its lock is tested":
            begun.remove()
        return result

    monkeypatch.setattr(owner, name, ends)
    assert find_interrupted(config) is None


def test_a_damaged_state_of_another_data_set_whose_name_begins_alike_is_ignored(begun, config):
    begun.__exit__()
    (begun.folder / "SASRecAP-toy-store-20260101-000000-bbbbbbbb.resume").write_bytes(b"half")
    (begun.folder / "SASRecAP-toy-store-20260101-000000-bbbbbbbb.lock").touch()
    (begun.folder / "SASRecAP-toy-store-20260101-000000-cccccccc.lock").touch()
    assert find_interrupted(config) == RUN
    assert len(list(begun.folder.glob("*-store-*"))) == 3
    (begun.folder / "SASRecAP-toy-20260101-000000-dddddddd.resume").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="SASRecAP-toy-20260101-000000-dddddddd.resume cannot be read"):
        find_interrupted(config)


def test_the_state_of_an_older_version_is_refused_with_what_to_do(begun, config):
    """Version 2 had the entry "losses" in place of "step_losses"."""
    begun.__exit__()
    state = torch.load(begun.path, weights_only=True)
    for name in ("step_losses", "loss_terms"):
        del state[name]
    torch.save({**state, "format": 2, "losses": torch.zeros(0)}, begun.path)
    problem = "is not a checkpoint of this version of recbole_sigma"
    remedy = f"Resume the run with the version of recbole_sigma that began it, or delete {begun.path}"
    for look in (lambda: find_interrupted(config), begun.load):
        with pytest.raises(CheckpointError, match=problem) as error:
            look()
        assert remedy in str(error.value)


def test_no_file_is_deleted_while_it_is_open(begun, config, monkeypatch):
    """Windows refuses it."""
    unlink, descriptors = Path.unlink, Path("/dev/fd")

    def unlink_closed(path, missing_ok=False):
        for name in os.listdir(descriptors):
            try:
                opened = os.fstat(int(name))
            except OSError:  # that of the folder itself
                continue
            assert not (path.exists() and os.path.samestat(opened, path.stat())), path
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_closed)
    begun.remove()
    assert not list(begun.folder.iterdir())


def test_incomplete_files_of_killed_processes_are_deleted(stopped, resume, tmp_path):
    path = stopped()
    for name in (f".{path.stem}.pth.abc", f".{path.stem}.resume.xyz", f".{RUN}.resume.uvw"):
        (path.parent / name).write_bytes(b"half")
    (path.parent / f"{RUN}.lock").touch()  # killed in its first save
    resume()
    assert only_the_checkpoint_is_left(tmp_path)


def test_other_data_or_a_damaged_file_is_refused_and_what_is_restored_resumes(stopped, resume, toy_path, tmp_path):
    path = stopped()
    best = path.with_suffix(".pth")
    content, state = best.read_bytes(), path.read_bytes()
    best.write_bytes(content[:1000])
    with pytest.raises(CheckpointError, match="truncated"):
        resume()
    best.unlink()
    with pytest.raises(
        CheckpointError, match=rf"{best.name} does not exist. It was the best checkpoint of {path.stem} so far"
    ):
        resume()
    best.write_bytes(content)
    path.write_bytes(state[:1000])
    with pytest.raises(CheckpointError, match=f"{path.name} cannot be read"):
        resume()
    path.write_bytes(state)
    with pytest.raises(CheckpointError, match=f"the interactions are not those that {path.stem} was trained on"):
        resume(data_path=str(with_other_interactions(toy_path, tmp_path / "data")))
    assert resume()["epochs"] > 1


def with_other_interactions(toy_path, folder):
    """A data set of the same users and items, two of whose interactions have other times."""
    header, *lines = (toy_path / "toy" / "toy.inter").read_text().splitlines()
    first, second = lines[:2]
    lines[:2] = ["\t".join([*first.split("\t")[:2], "1"]), "\t".join([*second.split("\t")[:2], "0"])]
    (folder / "toy").mkdir(parents=True)
    (folder / "toy" / "toy.inter").write_text("\n".join([header, *lines]) + "\n")
    return folder


def test_without_saving_or_beside_a_checkpoint_resuming_is_refused(toy_path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="resume is for training that is saved"):
        run_recbole_sigma("SASRecAP", "toy", config_dict=settings(toy_path, "SASRecAP", resume=True), saved=False)
    common = ["--dataset=toy", f"--data_path={toy_path}", "--resume"]
    assert main(["--model=SIGMA", "--checkpoint=a.pth", *common]) == 2
    assert main(["--model=SIGMA,BPR", *common]) == 2
    assert "resume is for a single model" in capsys.readouterr().err
    assert not (tmp_path / "saved").exists()


def test_without_saving_no_state_is_written(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ResumableRun, "save", lambda *_: pytest.fail("written"))
    run_recbole_sigma("SASRecAP", "toy", config_dict=settings(toy_path, "SASRecAP"), saved=False)
