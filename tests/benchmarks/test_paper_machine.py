"""Which code a record says it comes from."""

import subprocess

import pytest

from benchmarks import machine


def git(folder, *words):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in ("recbole_sigma/model.py", "benchmarks/paper/run.py", "benchmarks/paper/results/a.jsonl", "README.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "all")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    return tmp_path


def test_versions_name_the_commit(repository):
    assert machine.versions()["commit"] == git(repository, "rev-parse", "--short", "HEAD")


@pytest.mark.parametrize("name", ["recbole_sigma/model.py", "benchmarks/paper/run.py"])
def test_code_that_is_not_committed_is_marked(repository, name):
    (repository / name).write_text("new\n")
    assert machine.versions()["commit"] == git(repository, "rev-parse", "--short", "HEAD") + "+"


@pytest.mark.parametrize("name", ["benchmarks/paper/results/a.jsonl", "README.md", "recbole_sigma/untracked.py"])
def test_results_and_what_is_no_tracked_code_change_no_commit(repository, name):
    (repository / name).write_text("new\n")
    assert not machine.versions()["commit"].endswith("+")


def test_without_a_repository_there_is_no_commit(repository, monkeypatch):
    (repository / "inner").mkdir()
    monkeypatch.setattr(machine, "ROOT", repository / "inner")  # one around it is not of this code
    assert "commit" not in machine.versions()


def test_without_git_there_is_no_commit(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "commit" not in machine.versions()
