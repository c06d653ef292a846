"""A run that is killed at any moment and resumed ends as one that is not: parameters, random states and results."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from recbole_sigma.cli import main
from recbole_sigma.training import checkpoint
from tests.training.interrupted import (
    MOMENTS,
    TIMEOUT,
    differences,
    finish,
    leaves,
    outcome,
    start,
    start_command_line,
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
TERMS = {"SIGMA": 5, "SASRecAP": 1}


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


CASES = [("SASRecAP", moment) for moment in (*MOMENTS, 1, 2, 5)] + [("SIGMA", "in a later epoch"), ("SIGMA", 2)]


@pytest.mark.parametrize("model, moment", CASES)
def test_a_run_killed_at_any_kind_of_moment_is_resumed_to_the_bit(uninterrupted, toy_path, tmp_path, model, moment):
    """A number stands for the save in the middle of which the process dies."""
    given = settings(toy_path, model, resume=True)
    assert killed(start(tmp_path, model, given, moment))
    finish(start(tmp_path, model, given), tmp_path)
    assert not differences(uninterrupted(model)[0], outcome(tmp_path))
    assert only_the_checkpoint_is_left(tmp_path)


@pytest.mark.parametrize("model", SETTINGS)
def test_a_run_resumes_in_the_middle_of_an_epoch(uninterrupted, toy_path, tmp_path, model):
    """With a state after every batch, no batch is computed again; the terms of the loss are those of all batches."""
    assert killed(start(tmp_path, model, settings(toy_path, model), "in a later epoch", save_seconds=0))
    (path,) = (tmp_path / "saved").glob("*.resume")
    state = checkpoint.load(path, parts={})
    assert state["epoch"] == 1 and state["step_losses"].shape == (2, 1 + TERMS[model])
    finish(start(tmp_path, model, settings(toy_path, model, resume=True)), tmp_path)
    assert "in epoch 1, after 2 of its batches" in (tmp_path / "output").read_text()
    expected, found = uninterrupted(model)[0], outcome(tmp_path)
    assert sum(key.startswith("/checkpoint/history/1/terms/") for key in found) == TERMS[model]
    assert not differences(expected, found)


@pytest.mark.parametrize("times", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_runs_killed_at_random_moments_end_as_if_nothing_had_happened(uninterrupted, toy_path, tmp_path, times):
    """Moments of the whole run, start and end included; when a run ends all the same, the next one begins.

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


# The command line --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_line_killed_at_random_moments_twenty_times_ends_as_if_nothing_had_happened(toy_path, tmp_path):
    """SIGKILL reaches processes that import, load, train, save, validate and test."""
    words = [sys.executable, "-m", "recbole_sigma", *words_of(toy_path, epochs=40, stopping_step=40)]
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


def test_ctrl_c_stops_after_the_batch_with_130_and_says_what_to_do(toy_path, tmp_path, monkeypatch):
    words = words_of(toy_path, epochs=12, stopping_step=12)
    folder = tmp_path / "interrupted"
    process = start_command_line(folder, words)
    try:
        for _ in range(TIMEOUT * 100):
            if "epoch 2 training" in shown(folder):
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        process.join(TIMEOUT)
    finally:
        process.kill()
    assert process.exitcode == 130, shown(folder)
    assert "Traceback" not in shown(folder)
    last = shown(folder).splitlines()[-1]
    assert last.startswith("interrupted; repeat the command with --model=SASRecAP --resume to continue in epoch")
    run_here([*words, "--resume"], folder, monkeypatch)
    run_here(words, tmp_path / "whole", monkeypatch)
    assert only_the_checkpoint_is_left(folder)
    assert not differences(*(newest_checkpoint(tmp_path / name) for name in ("whole", "interrupted")))


def test_a_full_disk_keeps_the_last_state_and_the_run_resumes_once_there_is_space(toy_path, tmp_path, monkeypatch):
    words = words_of(toy_path, epochs=3)
    full, space = tmp_path / "full", tmp_path / "space"
    process = start_command_line(full, words, full_after=3)
    process.join(TIMEOUT)
    last = shown(full).splitlines()[-1]
    assert process.exitcode == 2, last
    assert "cannot be written" in last and "Traceback" not in last
    assert {path.suffix for path in (full / "saved").iterdir()} == {".pth", ".resume", ".lock"}
    run_here([*words, "--resume"], full, monkeypatch)
    run_here(words, space, monkeypatch)
    assert not differences(newest_checkpoint(full), newest_checkpoint(space))


def shown(folder):
    output = folder / "output"
    return output.read_text() if output.exists() else ""


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
    """Parameters, settings, history and results of a run of the command line."""
    path = max((folder / "saved").glob("*.pth"), key=os.path.getmtime)
    saved = checkpoint.load(path)
    for name in ("run_id", "resume"):
        del saved["config"][name]
    return {key: value for key, value in leaves(saved) if not key.endswith("/seconds")}
