"""Index arithmetic, compared with plain loops."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_sigma.data.sequences import gather_padded, gather_ragged, windows


@pytest.mark.parametrize("shape", [(), (2,)])
def test_padded_rows_are_the_slices_followed_by_zeros(shape):
    flat = torch.rand(20, *shape) + 1
    start, length = torch.tensor([0, 7, 16, 5]), torch.tensor([3, 1, 4, 0])
    rows = gather_padded(flat, start, length, 5)
    for row, s, n in zip(rows, start, length):
        assert torch.equal(row[:n], flat[s : s + n])
        assert not row[n:].any()


def test_ragged_rows_are_the_slices_one_after_the_other():
    flat = torch.arange(20) * 10
    start, length = torch.tensor([4, 0, 10]), torch.tensor([2, 0, 3])
    row, values = gather_ragged(flat, start, length)
    assert row.tolist() == [0, 0, 2, 2, 2]
    assert values.tolist() == [40, 50, 100, 110, 120]


@given(st.lists(st.integers(1, 60), min_size=1), st.integers(1, 50))
def test_windows_make_every_item_but_the_first_a_target_once(lengths, max_length):
    last = torch.tensor(lengths).cumsum(0) - 1
    first = last - torch.tensor(lengths) + 1
    start, count = windows(first, last, max_length)
    assert ((count >= 1) & (count <= max_length)).all()
    targets = [t for s, n in zip(start.tolist(), count.tolist()) for t in range(s + 1, s + n + 1)]
    expected = [t for f, e in zip(first.tolist(), last.tolist()) for t in range(f + 1, e + 1)]
    assert targets == expected


def test_only_the_first_window_may_be_shorter_than_the_longest():
    start, count = windows(torch.tensor([0]), torch.tensor([10]), 4)
    assert list(zip(start.tolist(), count.tolist())) == [(0, 2), (2, 4), (6, 4)]
