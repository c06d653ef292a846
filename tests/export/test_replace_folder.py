"""Folders that are filled as a whole, for whatever goes wrong while they are."""

import os

import pytest

from recbole_sigma import safe_write
from recbole_sigma.safe_write import replace_folder


def fill(folder, text="new", **more):
    with replace_folder(folder, **more) as temporary:
        for name in "abc":
            (temporary / name).write_text(text)


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture
def stops_at_the_second(monkeypatch):
    """Makes the second renaming fail, if there is one."""
    done = []
    replace = os.replace

    def failing(*args):
        done.append(args)
        if len(done) == 2:
            raise OSError("no space left")
        replace(*args)

    monkeypatch.setattr(safe_write.os, "replace", failing)
    return done


def test_a_new_folder_is_there_as_a_whole(tmp_path, stops_at_the_second):
    fill(tmp_path / "deep" / "out")
    assert len(stops_at_the_second) == 1
    assert content(tmp_path / "deep" / "out") == dict.fromkeys("abc", "new")
    assert os.listdir(tmp_path / "deep") == ["out"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_new_folder_has_the_permissions_of_any(tmp_path):
    fill(tmp_path / "out")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a").write_text("")
    for name in ("", "a"):
        assert (tmp_path / "out" / name).stat().st_mode == (tmp_path / "plain" / name).stat().st_mode


def test_in_a_folder_that_is_there_files_are_whole_and_others_stay(tmp_path, stops_at_the_second):
    for name in "abcx":
        (tmp_path / name).write_text("old")
    with pytest.raises(OSError, match="no space left"):
        fill(tmp_path)
    found = content(tmp_path)
    assert sorted(found.values()) == ["new", "old", "old", "old"] and found["x"] == "old"


def test_obsolete_files_go_when_the_new_ones_are_complete(tmp_path):
    (tmp_path / "x").write_text("old")
    (tmp_path / "y").write_text("old")
    with pytest.raises(KeyboardInterrupt), replace_folder(tmp_path, obsolete=["x"]):
        raise KeyboardInterrupt
    assert content(tmp_path) == {"x": "old", "y": "old"}
    fill(tmp_path, obsolete=["x", "not there"])
    assert content(tmp_path) == {**dict.fromkeys("abc", "new"), "y": "old"}
