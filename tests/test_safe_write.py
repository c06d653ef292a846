"""Files are written as a whole, where they belong, and readable by whom they were."""

import os

import pytest

from recbole_sigma.safe_write import replace_file


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
