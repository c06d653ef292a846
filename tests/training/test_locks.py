"""A lock is for one process and one thread, survives looking at it, and ends with its process, not with its children."""

import os
import signal

import pytest

from recbole_sigma.training.locks import FileLock, lock_probe
from recbole_sigma.training.resume import ResumableRun
from tests.training.interrupted import TIMEOUT, hold_with_child, is_in_progress

RUN = "SASRecAP-toy-20260101-000000-aaaaaaaa"


def is_taken(path):
    with lock_probe(path) as taken:
        return taken


def test_a_lock_is_taken_once_also_within_a_process_and_testing_it_does_not_release_it(tmp_path):
    """As threads and cells of a notebook do."""
    path = tmp_path / f"{RUN}.lock"
    assert not is_taken(path)
    lock = FileLock(path)
    assert lock.acquire()
    for _ in range(2):
        assert is_taken(path)
        assert not FileLock(path).acquire()
        assert is_in_progress(tmp_path, RUN)
    lock.release()
    assert not is_taken(path)
    assert not is_in_progress(tmp_path, RUN)


def test_the_children_of_a_killed_process_do_not_keep_its_lock(tmp_path):
    process = hold_with_child(tmp_path, RUN)
    try:
        assert is_taken(tmp_path / f"{RUN}.lock")
        os.kill(process.pid, signal.SIGKILL)
        process.join(TIMEOUT)
        os.killpg(process.pid, 0)  # the child lives
        assert not is_taken(tmp_path / f"{RUN}.lock")
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_a_lock_whose_file_another_process_deletes_before_it_is_taken_is_taken_again(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    lockf, path = fcntl.lockf, tmp_path / f"{RUN}.lock"

    def deleted_before(*args):
        monkeypatch.setattr(fcntl, "lockf", lockf)
        path.unlink()
        return lockf(*args)

    monkeypatch.setattr(fcntl, "lockf", deleted_before)
    with ResumableRun(tmp_path, RUN, {}):
        assert is_in_progress(tmp_path, RUN)


def test_on_a_file_system_without_locks_a_warning_says_what_to_do(tmp_path, monkeypatch, caplog):
    fcntl = pytest.importorskip("fcntl")

    def no_locks(*args):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    lock = FileLock(tmp_path / "a.lock")
    assert lock.acquire()
    lock.release()
    assert "No locks available" in caplog.text and "make sure that only one process uses this run" in caplog.text
