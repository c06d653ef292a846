"""Errors of atomic files that are read in blocks, against plain loops over their lines."""

import numpy as np
import pytest

from recbole_sigma.data import atomic_file
from recbole_sigma.data.atomic_file import check_atomic_file, explain_failure
from recbole_sigma.errors import DataError

HEADER = "user_id:token\titem_id:token\tx:float"


def first_wrong_line(lines, num_columns):
    for number, line in enumerate(lines, 1):
        if line.strip("\r") and line.count("\t") + 1 != num_columns:
            return number, line.count("\t") + 1
    return None


@pytest.mark.parametrize("block", [1, 5, 64, 1 << 22])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "end", "end end"])
def test_the_first_line_with_another_number_of_columns_is_named(tmp_path, monkeypatch, block, line_end, last):
    monkeypatch.setattr(atomic_file, "BLOCK", block)
    generator = np.random.default_rng(block)
    path = tmp_path / "toy.inter"
    for wrong in (0.0, 0.02, 0.1):
        counts = np.where(generator.random(40) < wrong, generator.integers(0, 6, 40), 3)
        lines = [HEADER, *("\t".join(["word" * generator.integers(0, 3)] * count) for count in counts)]
        path.write_bytes((line_end.join(lines) + line_end.join(last.split(" ")) * bool(last)).encode())
        text = path.read_bytes().decode().split("\n")
        expected = first_wrong_line(text, 3)
        if expected is None:
            check_atomic_file(str(path), "\t")
            continue
        with pytest.raises(DataError, match=f"line {expected[0]}: {expected[1]} columns; expected 3"):
            check_atomic_file(str(path), "\t")


def test_of_a_file_with_quotes_the_first_row_alone_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_file, "BLOCK", 8)
    path = tmp_path / "toy.inter"
    path.write_text(f'{HEADER}\n\nu\t"i\ti"\t1\nu\ti\t1\t1\n')
    assert check_atomic_file(str(path), "\t") == HEADER.split("\t")
    path.write_text(f'{HEADER}\n\nu\t"i\ti"\t1\t1\nu\ti\t1\n')
    with pytest.raises(DataError, match="line 3: 4 columns; expected 3"):  # pandas would take the users for an index
        check_atomic_file(str(path), "\t")
    path.write_text(f'{HEADER}\nu\t"{"i" * 200_000}\t1\n')
    check_atomic_file(str(path), "\t")  # too long for one field: pandas says what is wrong


def test_a_separator_that_is_not_ascii_is_left_to_the_reader(tmp_path):
    path = tmp_path / "toy.inter"
    path.write_text("user_id:tokenéitem_id:token\nuéi\n", encoding="utf-8")
    assert check_atomic_file(str(path), "é") == ["user_id:token", "item_id:token"]


@pytest.mark.parametrize("rows", [1, 3, 1 << 18])
def test_the_line_of_a_float_that_is_none_is_named(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(atomic_file, "ROWS", rows)
    path = tmp_path / "toy.inter"
    path.write_text("\n".join([HEADER, "u\ti\t1", "", "u\ti\t", "u\ti\t2e3", "u\ti\tthree", "u\ti\tfour"]) + "\n")
    assert "line 6: x is 'three'; expected a number" in str(explain_failure(str(path), "\t", None, ValueError("?")))
    path.write_text(f"{HEADER}\nu\ti\t1\n")
    assert "cannot be read: another fault" in str(explain_failure(str(path), "\t", None, ValueError("another fault")))
