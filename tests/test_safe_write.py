"""Files and folders are replaced as a whole, where they belong, with the permissions that they had."""

import os

import pytest

from recbole_sigma import safe_write
from recbole_sigma.safe_write import replace_file, replace_folder


def write(path, text):
    with replace_file(path) as temporary:
        temporary.write_text(text)


def test_an_older_file_keeps_its_permissions(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o600)
    write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new" and (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_new_file_has_those_of_any_other(tmp_path):
    write(tmp_path / "a", "new")
    (tmp_path / "b").write_text("other")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_what_a_link_leads_to_is_written(tmp_path):
    (tmp_path / "target").write_text("old")
    os.symlink(tmp_path / "target", tmp_path / "link")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "new"


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_left_alone(tmp_path, kind):
    os.mkdir(tmp_path / "a") if kind == "folder" else os.mkfifo(tmp_path / "a")
    with pytest.raises(OSError, match="a exists and is no file"):
        write(tmp_path / "a", "new")
    assert os.listdir(tmp_path) == ["a"]


def test_an_exception_leaves_the_older_file_and_nothing_else(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), replace_file(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old" and os.listdir(tmp_path) == ["a"]


# Folders -------------------------------------------------------------------------------------------------------------


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
