"""Errors of atomic files that are read in blocks, compared with plain loops over their lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_sigma.data import atomic_file, quotes
from recbole_sigma.data.atomic_file import check_atomic_file, explain_failure
from recbole_sigma.errors import DataError

HEADER = "user_id:token\titem_id:token\tx:float"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("atomic_file")


def first_wrong_line(lines, num_columns):
    for number, line in enumerate(lines, 1):
        if line.strip("\r") and line.count("\t") + 1 != num_columns:
            return number, line.count("\t") + 1
    return None


LINES = st.lists(
    st.lists(st.sampled_from(["", "word", "wordword"]), min_size=3, max_size=3)
    | st.lists(st.sampled_from(["", "word"]), max_size=5)
)


@given(LINES, st.sampled_from([1, 5, 64, 1 << 22]), st.sampled_from(["\n", "\r\n"]), st.integers(0, 3))
def test_the_first_line_with_another_number_of_columns_is_named(folder, rows, block, line_end, num_ends):
    path = folder / "toy.inter"
    lines = [HEADER, *map("\t".join, rows)]
    path.write_bytes((line_end.join(lines) + line_end * num_ends).encode())
    expected = first_wrong_line(path.read_bytes().decode().split("\n"), 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quotes, "BLOCK", block)
        if expected is None:
            assert check_atomic_file(str(path), "\t") == HEADER.split("\t")
            return
        with pytest.raises(DataError, match=f"line {expected[0]}: {expected[1]} columns; expected 3"):
            check_atomic_file(str(path), "\t")


def test_every_row_of_a_file_with_quoted_fields_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(quotes, "BLOCK", 8)
    path = tmp_path / "toy.inter"
    path.write_text(f'{HEADER}\n\nu\t"i\ti"\t1\nu\ti\t1\n')
    assert check_atomic_file(str(path), "\t") == HEADER.split("\t")
    path.write_text(f'{HEADER}\n\nu\t"i\ti"\t1\t1\nu\ti\t1\n')
    with pytest.raises(DataError, match="line 3: 4 columns; expected 3"):
        check_atomic_file(str(path), "\t")
    path.write_text(f'{HEADER}\n\nu\t"i\ti"\t1\nu\ti\n')
    with pytest.raises(DataError, match="line 4: 2 columns; expected 3"):
        check_atomic_file(str(path), "\t")
    path.write_text(f'{HEADER}\nu\t"i\ni"\t1\nu\ti\n')
    with pytest.raises(DataError, match="line 4: 2 columns; expected 3"):
        check_atomic_file(str(path), "\t")
    path.write_text(f'{HEADER}\nu\t"{"i" * 200_000}\n"\t1\n')
    check_atomic_file(str(path), "\t")


def test_a_separator_that_is_not_ascii_is_left_to_the_reader(tmp_path):
    path = tmp_path / "toy.inter"
    path.write_text("user_id:tokenéitem_id:token\nuéi\n", encoding="utf-8")
    assert check_atomic_file(str(path), "é") == ["user_id:token", "item_id:token"]


def test_the_line_of_an_invalid_float_is_named(tmp_path, monkeypatch):
    path = tmp_path / "toy.inter"
    path.write_text("\n".join([HEADER, "u\ti\t1", "", "u\ti\t", "u\ti\t2e3", "u\ti\tthree", "u\ti\tfour"]) + "\n")
    for rows in (1, 3, 1 << 18):
        monkeypatch.setattr(atomic_file, "ROWS", rows)
        assert "line 6: x is 'three'; expected a number" in str(explain_failure(str(path), "\t", None, ValueError("?")))
    path.write_text(f"{HEADER}\nu\ti\t1\n")
    assert "cannot be read: another fault" in str(explain_failure(str(path), "\t", None, ValueError("another fault")))
