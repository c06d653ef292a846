"""A run of several seeds that is killed and resumed ends as one that is not, and trains no finished seed again."""

import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

import recbole_sigma
from recbole_sigma import run_seeds
from recbole_sigma.cli import main
from recbole_sigma.errors import CheckpointError, ConfigError
from recbole_sigma.seeds import averaging
from recbole_sigma.seeds.progress import Progress
from recbole_sigma.training import checkpoint
from recbole_sigma.training.finite import FiniteCheck
from recbole_sigma.training.locks import FileLock
from tests.training.interrupted import PROCESSES, TIMEOUT, die_at, differences, leaves

SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10, "epochs": 3, "topk": [5], "learning_rate": 0.01}
SMALL.update(valid_metric="NDCG@5", state="info", show_progress=False, train_batch_size=7)
SEEDS = [1, 2, 3]

MOMENTS = {
    "in the second seed": (FiniteCheck, "check_loss", 43),
    "between two seeds": (Progress, "add", 2),
    "in the average": (averaging, "average_of", 2),
}
"""What a process is about to do when it kills itself: a function, and which call of it."""
FIRST, *OTHERS = MOMENTS


def settings_of(toy_path):
    return {"data_path": str(toy_path), **SMALL}


def words_of(toy_path, *more):
    given = [f"--{key}={value}" for key, value in settings_of(toy_path).items()]
    return ["--model=SASRecAP", "--dataset=toy", *given, f"--seeds={','.join(map(str, SEEDS))}", *more]


def _command_line(folder, words, moment):
    os.chdir(folder)
    sys.stdout = sys.stderr = open("output", "a", buffering=1)
    if moment is not None:
        die_at(*MOMENTS[moment])
    sys.exit(main(words))


def command(folder, words, moment=None):
    """The exit code of the command line in a process of its own, and what it prints."""
    process = PROCESSES.Process(target=_command_line, args=(str(folder), words, moment))
    process.start()
    process.join(TIMEOUT)
    return process.exitcode, (Path(folder) / "output").read_text()


def outcome(folder):
    """The checkpoints by seed and the results, without names, times and paths."""
    folder = Path(folder)
    (path,) = (folder / "saved").glob("seeds-*[0-9a-f].json")
    result = json.loads(path.read_text())
    for row in (*result["rows"], result["average"]):
        for name in ("checkpoint", "log", "seconds_per_epoch"):
            row.pop(name, None)
    found = {name: result[name] for name in ("rows", "mean", "standard_deviation", "average")}
    rec = recbole_sigma.load(folder / "saved", "cpu")
    for member in rec.members:
        state = checkpoint.load(member.path)
        del state["config"]["run_id"], state["config"]["resume"]
        found[str(state["config"]["seed"])] = state
    return {key: value for key, value in leaves(found) if not key.endswith("/seconds")}


@pytest.fixture(scope="module")
def whole(toy_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_seeds("SASRecAP", "toy", SEEDS, config_dict=settings_of(toy_path))
    return folder


@pytest.mark.parametrize("moment", [FIRST, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_a_run_that_is_killed_in_another_process_is_resumed_to_the_bit(whole, toy_path, tmp_path, moment):
    code, before = command(tmp_path, words_of(toy_path), moment)
    assert code == -signal.SIGKILL, before[-3000:]
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "saved").glob("*.pth")}
    (progress,) = (tmp_path / "saved").glob("*.seeds")
    members = json.loads(progress.read_text())["members"]
    assert [member["seed"] for member in members] == {"in the average": SEEDS}.get(moment, [1])
    code, printed = command(tmp_path, words_of(toy_path, "--resume"))
    assert code == 0, printed[-3000:]
    trained = printed[len(before) :].count("epoch 0 training")
    assert trained == {"in the second seed": 1, "between two seeds": 2, "in the average": 0}[moment]
    assert ("Resume SASRecAP-toy-" in printed) == (moment == "in the second seed")
    for member in members:
        path = tmp_path / "saved" / member["checkpoint"]
        assert path.stat().st_mtime_ns == finished[path]
    assert not differences(outcome(whole), outcome(tmp_path))
    left = {path.suffix for path in (tmp_path / "saved").iterdir()}
    assert left == {".pth", ".md", ".json"}


# What is left of an interrupted run --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_of_three(toy_path, tmp_path_factory):
    """The folder of a run that ended after its second seed, and its settings."""
    folder, settings = tmp_path_factory.mktemp("interrupted"), {**settings_of(toy_path), "epochs": 1, "state": "error"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("recbole_sigma.seeds.run.Progress.add", stopping_after(2))
        with pytest.raises(KeyboardInterrupt):
            run_seeds("SASRecAP", "toy", SEEDS, config_dict=settings)
    return folder, settings


@pytest.fixture
def interrupted(two_of_three, tmp_path, monkeypatch):
    """A copy of that run in this folder, with the settings to resume it."""
    folder, settings = two_of_three
    shutil.copytree(folder / "saved", tmp_path / "saved")
    monkeypatch.chdir(tmp_path)
    return {**settings, "resume": True}


def stopping_after(number):
    original, calls = Progress.add, []

    def add(self, *args):
        original(self, *args)
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt

    return add


def progress_file():
    (path,) = Path("saved").glob("*.seeds")
    return path


def members_of(path):
    return [Path("saved") / member["checkpoint"] for member in json.loads(path.read_text())["members"]]


@pytest.mark.parametrize("damage", ["missing", "cut off", "of another seed"])
def test_a_damaged_or_foreign_member_is_trained_again_with_a_warning(interrupted, damage, caplog):
    first, second = members_of(progress_file())
    before = checkpoint.load(first)
    if damage == "missing":
        first.unlink()
    elif damage == "cut off":
        first.write_bytes(first.read_bytes()[:1000])
    else:
        first.write_bytes(second.read_bytes())
    result = run_seeds("SASRecAP", "toy", SEEDS, config_dict=interrupted)
    says = "is missing" if damage == "missing" else "has changed since its end"
    assert f"{first} {says}: seed 1 is trained again" in caplog.text
    assert result["rows"][0]["checkpoint"] != str(first) and result["rows"][1]["checkpoint"] == str(second)
    after = checkpoint.load(result["rows"][0]["checkpoint"])
    assert not differences(dict(leaves(before["state_dict"])), dict(leaves(after["state_dict"])))


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "\0", "[" * 100_000, '{"settings": {}, "seeds": [], "data": "", "members": [1]}']
)
def test_a_damaged_file_of_the_progress_is_an_error_that_says_what_to_do(interrupted, content):
    path = progress_file()
    path.write_text(content)
    with pytest.raises(CheckpointError, match=f"{re.escape(str(path))}, which says .* is damaged; delete it to begin"):
        run_seeds("SASRecAP", "toy", SEEDS, config_dict=interrupted)


def test_other_settings_are_named_and_other_seeds_are_another_run(interrupted):
    with pytest.raises(ConfigError, match=r"\.seeds has other settings: learning_rate = 0.01 \(here 0.5\)"):
        run_seeds("SASRecAP", "toy", SEEDS, config_dict={**interrupted, "learning_rate": 0.5})
    begun = progress_file().stem
    assert begun not in run_seeds("SASRecAP", "toy", SEEDS[:2], config_dict=interrupted)["json"]


def test_other_data_are_refused(interrupted, toy_path, tmp_path):
    rows = (toy_path / "toy" / "toy.inter").read_text().splitlines()
    (tmp_path / "data" / "toy").mkdir(parents=True)
    (tmp_path / "data" / "toy" / "toy.inter").write_text("\n".join(rows[:-1]) + "\n")
    with pytest.raises(
        CheckpointError, match="the interactions are not those that seeds-SASRecAP-toy-.* was trained on"
    ):
        run_seeds("SASRecAP", "toy", SEEDS, config_dict={**interrupted, "data_path": str(tmp_path / "data")})


def test_a_run_that_another_process_works_on_is_refused(interrupted):
    lock = FileLock(progress_file().with_suffix(".lock"))
    assert lock.acquire()
    try:
        with pytest.raises(ConfigError, match="is still in progress; expected one that has ended"):
            run_seeds("SASRecAP", "toy", SEEDS, config_dict=interrupted)
    finally:
        lock.release()


def test_without_resume_a_new_run_begins(interrupted):
    begun = progress_file().stem
    result = run_seeds("SASRecAP", "toy", SEEDS, config_dict={**interrupted, "resume": False})
    assert begun not in result["json"] and progress_file().stem == begun


def test_resume_without_an_interrupted_run_begins(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {**settings_of(toy_path), "epochs": 1, "state": "error", "resume": True}
    assert run_seeds("SASRecAP", "toy", SEEDS, config_dict=settings)["average"]["test_result"]
    assert sorted({os.path.splitext(name)[1] for name in os.listdir("saved")}) == [".json", ".md", ".pth"]


def test_a_single_run_of_other_settings_is_named_before_anything_is_trained(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {**settings_of(toy_path), "state": "error"}
    with monkeypatch.context() as patch:
        patch.setattr("recbole_sigma.training.finite.FiniteCheck.check_loss", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            recbole_sigma.run_recbole_sigma("SASRecAP", "toy", config_dict={**settings, "seed": 3})
    files = set(os.listdir("saved"))
    with pytest.raises(ConfigError, match=r"has other settings: hidden_size = 8 \(here 4\)"):
        run_seeds("SASRecAP", "toy", SEEDS, config_dict={**settings, "hidden_size": 4, "resume": True})
    assert set(os.listdir("saved")) == files
