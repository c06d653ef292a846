"""A run that was killed and resumed ends as one that was not: parameters, optimizer, random states and results."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from recbole_sigma import run_recbole_sigma
from recbole_sigma.training import checkpoint
from recbole_sigma.cli import main
from recbole_sigma.config import Config
from recbole_sigma.errors import CheckpointError, ConfigError
from recbole_sigma.training.interrupt import defer_interrupt
from recbole_sigma.training.resume import UnfinishedRun, find_unfinished
from recbole_sigma.training.trainer import ResumableTrainer
from tests.training.interrupted import (
    MOMENTS,
    TIMEOUT,
    differences,
    finish,
    hold_with_child,
    is_going,
    leaves,
    outcome,
    start,
    start_on_full_disk,
)

OWN = {
    "hidden_size": 8,
    "inner_size": 8,
    "MAX_ITEM_LIST_LENGTH": 10,
    "train_batch_size": 7,
    "epochs": 6,
    "stopping_step": 2,
    "learning_rate": 0.02,
    "topk": [5],
    "valid_metric": "NDCG@5",
    "kl_anneal_steps": 20,
}
SETTINGS = {"SIGMA": OWN, "SASRecAP": {key: value for key, value in OWN.items() if key != "kl_anneal_steps"}}


@pytest.fixture(scope="module")
def uninterrupted(toy_path, tmp_path_factory):
    """Outcome and seconds of a run of each model that nothing interrupts."""
    known = {}

    def of(model):
        if model not in known:
            folder = tmp_path_factory.mktemp(model)
            finish(start(folder, model, settings(toy_path, model)), folder)
            begin = time.perf_counter()
            finish(start(folder / "again", model, settings(toy_path, model)), folder / "again")
            known[model] = outcome(folder), time.perf_counter() - begin
            assert not differences(known[model][0], outcome(folder / "again"))
        return known[model]

    return of


def settings(toy_path, model="SIGMA", **others):
    return {"data_path": str(toy_path), **SETTINGS[model], **others}


def killed(process):
    process.join(TIMEOUT)
    return process.exitcode == -signal.SIGKILL


def only_the_checkpoint_is_left(folder):
    (path,) = (folder / "saved").iterdir()
    return path.suffix == ".pth"


CASES = [("SIGMA", moment) for moment in (*MOMENTS, 1, 2, 5)] + [("SASRecAP", "in a later epoch"), ("SASRecAP", 2)]


@pytest.mark.parametrize("model, moment", CASES)
def test_a_run_killed_at_any_kind_of_moment_is_resumed_to_the_bit(uninterrupted, toy_path, tmp_path, model, moment):
    """A number stands for the save in the middle of which the process dies."""
    given = settings(toy_path, model, resume=True)
    assert killed(start(tmp_path, model, given, moment))
    finish(start(tmp_path, model, given), tmp_path)
    assert not differences(uninterrupted(model)[0], outcome(tmp_path))
    assert only_the_checkpoint_is_left(tmp_path)


@pytest.mark.parametrize("model", SETTINGS)
def test_a_run_goes_on_in_the_middle_of_an_epoch(uninterrupted, toy_path, tmp_path, model):
    """With a state after every batch, none that was done is computed again."""
    assert killed(start(tmp_path, model, settings(toy_path, model), "in a later epoch", save_seconds=0))
    (path,) = (tmp_path / "saved").glob("*.resume")
    state = checkpoint.load(path, parts={"losses": torch.Tensor})
    assert state["epoch"] == 1 and len(state["losses"]) == 2
    finish(start(tmp_path, model, settings(toy_path, model, resume=True)), tmp_path)
    assert "in epoch 1, after 2 of its batches" in (tmp_path / "output").read_text()
    assert not differences(uninterrupted(model)[0], outcome(tmp_path))


@pytest.mark.parametrize("times", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_runs_killed_at_random_moments_end_as_if_nothing_had_been(uninterrupted, toy_path, tmp_path, times):
    """Of the whole run, start and end included; one that has ended in spite of it is compared, and the next begun.

    Every other process saves its state after each batch, not only at the start of an epoch.
    """
    expected, seconds = uninterrupted("SIGMA")
    given, moments = settings(toy_path, resume=True), random.Random(0)
    kills, runs, folder = 0, 0, tmp_path / "0"
    for attempt in range(60):
        begin = time.perf_counter()
        process = start(folder, "SIGMA", given, save_seconds=None if attempt % 2 else 0)
        process.join(moments.uniform(0, seconds) if kills < times else TIMEOUT)
        process.kill()
        if killed(process):
            kills += 1
            seconds *= 1.1  # the machine may be busier than it was
            continue
        assert process.exitcode == 0, (folder / "output").read_text()[-3000:]
        assert not differences(expected, outcome(folder)), runs
        seconds = min(seconds, time.perf_counter() - begin)
        runs += 1
        if kills >= times:
            break
        folder = tmp_path / str(runs)
    assert kills >= times and runs


@pytest.mark.slow
def test_the_command_line_killed_at_random_moments_twenty_times_ends_as_if_nothing_had_been(toy_path, tmp_path):
    """Between them SIGKILL reaches processes that import, load, train, save, validate and test."""
    words = [*PROGRAM, *words_of(toy_path, epochs=40, stopping_step=40)]
    (tmp_path / "whole").mkdir()
    begin = time.perf_counter()
    subprocess.run(words, cwd=tmp_path / "whole", capture_output=True, check=True, timeout=TIMEOUT)
    seconds = time.perf_counter() - begin
    (tmp_path / "killed").mkdir()
    moments, kills = random.Random(0), 0
    for _ in range(100):
        process = subprocess.Popen(
            [*words, "--resume"], cwd=tmp_path / "killed", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            _, error = process.communicate(timeout=moments.uniform(0.2, 0.9) * seconds if kills < 20 else TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, error
        if kills >= 20:
            break
    assert kills >= 20
    expected, found = (newest_checkpoint(tmp_path / name) for name in ("whole", "killed"))
    assert not differences(expected, found)


def test_ctrl_c_ends_after_the_batch_with_130_and_what_to_do(toy_path, tmp_path, monkeypatch):
    words = words_of(toy_path, epochs=12, stopping_step=12)
    (tmp_path / "interrupted").mkdir()
    process = subprocess.Popen(
        [*PROGRAM, *words],
        cwd=tmp_path / "interrupted",
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        shown = []
        for line in process.stderr:
            shown.append(line)
            if "epoch 2 training" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        _, rest = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert process.returncode == 130, shown
    assert "Traceback" not in rest
    assert rest.splitlines()[-1].startswith("interrupted; the same command with --model=SASRecAP --resume continues")
    run_here([*words, "--resume"], tmp_path / "interrupted", monkeypatch)
    run_here(words, tmp_path / "whole", monkeypatch)
    assert only_the_checkpoint_is_left(tmp_path / "interrupted")
    assert not differences(*(newest_checkpoint(tmp_path / name) for name in ("whole", "interrupted")))


PROGRAM = [sys.executable, "-m", "recbole_sigma"]


def words_of(toy_path, **others):
    given = {**settings(toy_path, "SASRecAP"), **others}
    given.update(topk="[5]")
    return ["--model=SASRecAP", "--dataset=toy", *(f"--{key}={value}" for key, value in given.items())]


def run_here(words, folder, monkeypatch):
    """The command line in this process, which has imported everything."""
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    assert main(words) == 0


def newest_checkpoint(folder):
    """Of a command line's run: parameters, settings, history and results."""
    path = max((folder / "saved").glob("*.pth"), key=os.path.getmtime)
    saved = checkpoint.load(path)
    for name in ("run_id", "resume"):
        del saved["config"][name]
    return {key: value for key, value in leaves(saved) if not key.endswith("/seconds")}


# In one process ----------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """In the place of a signal, where it is about the files and not the process."""


@pytest.fixture
def stopped(toy_path, tmp_path, monkeypatch):
    """Run SASRecAP until the second validation, and leave the state of its second epoch."""
    monkeypatch.chdir(tmp_path)

    def stop(error=Killed, **others):
        validate = ResumableTrainer._valid_epoch

        def stops(self, *args, **kwargs):
            if self.epoch == 1:
                raise error
            return validate(self, *args, **kwargs)

        with monkeypatch.context() as patch, pytest.raises(error):
            patch.setattr(ResumableTrainer, "_valid_epoch", stops)
            run_recbole_sigma("SASRecAP", "toy", config_dict=settings(toy_path, "SASRecAP", **others))
        return max((tmp_path / "saved").glob("*.resume"), key=os.path.getmtime)

    return stop


@pytest.fixture
def resume(toy_path):
    def resume(model="SASRecAP", **others):
        return run_recbole_sigma(model, "toy", config_dict=settings(toy_path, "SASRecAP", resume=True, **others))

    return resume


def test_a_resumed_run_keeps_its_name_log_and_history(stopped, resume):
    path = stopped()
    result = resume(show_progress=True, state="WARNING")
    assert path.stem in result["checkpoint"] and path.stem in result["log"]
    history = checkpoint.load(result["checkpoint"])["history"]
    assert [epoch["epoch"] for epoch in history] == list(range(len(history))) and result["epochs"] == len(history)
    text = open(result["log"]).read()
    assert "epoch 0 training" in text and text.count("'resume': ") == 0


def test_without_an_unfinished_run_a_new_one_begins(resume, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = resume()
    assert "saved has no unfinished run to resume: begin with the first epoch" in open(result["log"]).read()


def test_runs_of_other_settings_are_not_continued_and_the_settings_are_named(stopped, resume, tmp_path):
    path = stopped()
    with pytest.raises(ConfigError, match=r"hidden_size = 8 \(here 16\), learning_rate = 0.02 \(here 0.01\)") as error:
        resume(hidden_size=16, learning_rate=0.01)
    assert path.name in str(error.value)
    assert resume(seed=1)["seed"] == 1  # another seed is another run
    assert path.exists()
    resume()
    assert not path.exists()


def test_the_newest_of_several_unfinished_runs_is_continued(stopped, resume):
    first, second = stopped(), stopped()
    os.utime(first, (1, 1))
    assert second.stem in resume()["checkpoint"]
    assert first.stem in resume()["checkpoint"]


def test_a_run_that_is_going_is_not_continued_a_second_time(toy_path, tmp_path, monkeypatch):
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
        with pytest.raises(ConfigError, match=f"the run {path.stem} is still going"):
            find_unfinished(config)
        with pytest.raises(ConfigError, match="still going"):
            UnfinishedRun(tmp_path / "saved", path.stem, {})
        others = Config("SASRecAP", "toy", config_dict={**given, "hidden_size": 16})
        assert find_unfinished(others) is None  # as in a grid whose runs go side by side
    finally:
        process.kill()
        process.join(TIMEOUT)
    assert find_unfinished(config) == path.stem


RUN = "SASRecAP-toy-20260101-000000-aaaaaaaa"


@pytest.fixture
def config(toy_path, tmp_path):
    return Config("SASRecAP", "toy", config_dict={**settings(toy_path, "SASRecAP"), "checkpoint_dir": str(tmp_path)})


@pytest.fixture
def begun(config):
    """A run that this process is at and that has saved a state."""
    with UnfinishedRun(config["checkpoint_dir"], RUN, config.plain_dict()) as run:
        run.save({"data": "", "epoch": 0, "random": {}, "bookkeeping": {}})
        yield run


def test_a_run_is_going_for_its_own_process_too_which_may_look_without_letting_go_of_it(begun, config):
    """As threads and cells of a notebook do."""
    for _ in range(2):
        with pytest.raises(ConfigError, match=f"the run {RUN} is still going"):
            find_unfinished(config)
        with pytest.raises(ConfigError, match="still going"):
            UnfinishedRun(begun.folder, RUN, {})
        assert is_going(begun.folder, RUN)
    begun.__exit__()
    assert not is_going(begun.folder, RUN)
    assert find_unfinished(config) == RUN


def test_a_run_that_was_killed_is_not_kept_going_by_its_children(begun, config):
    begun.__exit__()
    process = hold_with_child(begun.folder, RUN)
    try:
        with pytest.raises(ConfigError, match="still going"):
            find_unfinished(config)
        os.kill(process.pid, signal.SIGKILL)
        process.join(TIMEOUT)
        os.killpg(process.pid, 0)  # the child lives
        assert find_unfinished(config) == RUN
    finally:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("moment", ["before its time is read", "before it is read", "before its lock is looked at"])
def test_a_run_that_ends_while_it_is_looked_at_is_not_there(begun, config, monkeypatch, moment):
    begun.__exit__()
    owner, name = (Path, "glob") if moment == "before its time is read" else (checkpoint, "load")
    original = getattr(owner, name)

    def ends(*args, **given):
        if moment == "before it is read":
            begun.remove()
        result = original(*args, **given)
        if name == "glob":
            result = list(result)
        if begun.path in result or moment == "before its lock is looked at":
            begun.remove()
        return result

    monkeypatch.setattr(owner, name, ends)
    assert find_unfinished(config) is None


def test_a_damaged_state_of_another_data_set_whose_name_begins_alike_is_not_looked_at(begun, config):
    begun.__exit__()
    (begun.folder / "SASRecAP-toy-store-20260101-000000-bbbbbbbb.resume").write_bytes(b"half")
    (begun.folder / "SASRecAP-toy-store-20260101-000000-bbbbbbbb.lock").touch()
    (begun.folder / "SASRecAP-toy-store-20260101-000000-cccccccc.lock").touch()
    assert find_unfinished(config) == RUN
    assert len(list(begun.folder.glob("*-store-*"))) == 3
    (begun.folder / "SASRecAP-toy-20260101-000000-dddddddd.resume").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="SASRecAP-toy-20260101-000000-dddddddd.resume cannot be read"):
        find_unfinished(config)


def test_a_lock_that_another_process_removed_before_it_was_taken_is_taken_again(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    lockf, path = fcntl.lockf, tmp_path / f"{RUN}.lock"

    def removed_before(*args):
        monkeypatch.setattr(fcntl, "lockf", lockf)
        path.unlink()
        return lockf(*args)

    monkeypatch.setattr(fcntl, "lockf", removed_before)
    with UnfinishedRun(tmp_path, RUN, {}):
        assert is_going(tmp_path, RUN)


def test_no_file_is_removed_while_it_is_open(begun, config, monkeypatch):
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


def test_what_killed_processes_left_half_written_is_removed(stopped, resume, tmp_path):
    path = stopped()
    for name in (f".{path.stem}.pth.abc", f".{path.stem}.resume.xyz", f".{RUN}.resume.uvw"):
        (path.parent / name).write_bytes(b"half")
    (path.parent / f"{RUN}.lock").touch()  # killed in its first save
    resume()
    assert only_the_checkpoint_is_left(tmp_path)


def test_a_run_whose_best_checkpoint_is_gone_or_damaged_is_refused(stopped, resume):
    path = stopped()
    best = path.with_suffix(".pth")
    content = best.read_bytes()
    best.write_bytes(content[:1000])
    with pytest.raises(CheckpointError, match="truncated"):
        resume()
    best.unlink()
    with pytest.raises(
        CheckpointError, match=rf"{best.name} does not exist. It was the best one of {path.stem} so far"
    ):
        resume()
    best.write_bytes(content)
    assert resume()["epochs"] > 1


def test_a_damaged_state_is_refused(stopped, resume):
    path = stopped()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=f"{path.name} cannot be read"):
        resume()


def test_other_interactions_of_the_same_users_and_items_are_refused(stopped, resume, toy_path, tmp_path):
    stopped()
    header, *lines = (toy_path / "toy" / "toy.inter").read_text().splitlines()
    first, second = lines[:2]
    lines[:2] = ["\t".join([*first.split("\t")[:2], "1"]), "\t".join([*second.split("\t")[:2], "0"])]
    (tmp_path / "data" / "toy").mkdir(parents=True)
    (tmp_path / "data" / "toy" / "toy.inter").write_text("\n".join([header, *lines]) + "\n")
    with pytest.raises(
        CheckpointError, match="the interactions are no longer those that SASRecAP-toy-.* was trained on"
    ):
        resume(data_path=str(tmp_path / "data"))
    assert resume()["epochs"] > 1


def test_without_saving_or_beside_a_checkpoint_resuming_is_refused(toy_path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="resume is for the training of runs that are saved"):
        run_recbole_sigma("SASRecAP", "toy", config_dict=settings(toy_path, "SASRecAP", resume=True), saved=False)
    common = ["--dataset=toy", f"--data_path={toy_path}", "--resume"]
    assert main(["--model=SIGMA", "--checkpoint=a.pth", *common]) == 2
    assert main(["--model=SIGMA,BPR", *common]) == 2
    assert "resume is for a single model" in capsys.readouterr().err
    assert not (tmp_path / "saved").exists()


def test_without_saving_no_state_is_written(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(UnfinishedRun, "save", lambda *_: pytest.fail("written"))
    run_recbole_sigma("SASRecAP", "toy", config_dict=settings(toy_path, "SASRecAP"), saved=False)


def test_a_disk_that_is_full_keeps_the_last_state_and_the_run_goes_on_once_there_is_room(
    toy_path, tmp_path, monkeypatch
):
    words = words_of(toy_path, epochs=3)
    full, room = tmp_path / "full", tmp_path / "room"
    process = start_on_full_disk(full, words)
    process.join(TIMEOUT)
    (shown,) = (full / "output").read_text().splitlines()[-1:]
    assert process.exitcode == 2, shown
    assert "cannot be written" in shown and "Traceback" not in shown
    assert {path.suffix for path in (full / "saved").iterdir()} == {".pth", ".resume", ".lock"}
    run_here([*words, "--resume"], full, monkeypatch)
    run_here(words, room, monkeypatch)
    assert not differences(newest_checkpoint(full), newest_checkpoint(room))


def test_a_first_ctrl_c_waits_and_a_second_one_does_not():
    with pytest.raises(KeyboardInterrupt):
        with defer_interrupt() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert interruption.pressed
    reached = []
    with pytest.raises(KeyboardInterrupt):
        with defer_interrupt():
            signal.raise_signal(signal.SIGINT)
            reached.append(1)
            signal.raise_signal(signal.SIGINT)
            reached.append(2)
    assert reached == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_of_others_are_left_alone():
    mine = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with defer_interrupt() as interruption:
            signal.raise_signal(signal.SIGINT)
        assert not interruption.pressed and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, mine)


def test_another_number_of_threads_is_warned_of(stopped, resume, monkeypatch):
    stopped()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    assert "goes on with recbole_sigma" in open(resume()["log"]).read()
