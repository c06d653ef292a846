"""Packed sequences against plain lists of them."""

import pytest
import torch

from recbole_sigma.layers.packing import Packing, TrainingBatch, pack

LENGTHS = {
    "ragged": [3, 50, 1, 7, 7, 2, 26, 25, 1],
    "equal": [4, 4, 4],
    "one": [5],
    "single_items": [1, 1, 1],
    "some_empty": [0, 3, 0, 1, 0],
    "powers_of_two": [1, 2, 4, 8, 16, 32, 64],
    "none": [],
    "all_empty": [0, 0],
}
every_lengths = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)


@every_lengths
def test_positions_and_last_items_are_those_of_each_sequence(lengths):
    packing = Packing(torch.tensor(lengths, dtype=torch.long))
    assert packing.position.tolist() == [place for length in lengths for place in range(length)]
    ends = torch.tensor(lengths).cumsum(0).tolist()
    assert packing.last.tolist() == [end - 1 for end in ends]
    assert packing.longest == max(lengths, default=0)
    names = torch.arange(len(lengths)) * 10
    assert packing.spread(names).tolist() == [10 * row for row, length in enumerate(lengths) for _ in range(length)]


@every_lengths
def test_groups_hold_every_sequence_once_padded_on_the_right(lengths):
    packing = Packing(torch.tensor(lengths, dtype=torch.long))
    item = torch.arange(1, sum(lengths) + 1).float().unsqueeze(1)
    grouped = packing.group(item)
    assert torch.equal(packing.ungroup(grouped), item)
    rows = []
    for part, (count, width) in zip(grouped.split([c * w for c, w in packing.groups]), packing.groups):
        rows += part.view(count, width).tolist()
    without_padding = [[value for value in row if value] for row in rows]
    assert all(row == [*kept, *[0] * (len(row) - len(kept))] for row, kept in zip(rows, without_padding))
    expected = [part.flatten().tolist() for part in item.split(lengths) if len(part)] if lengths else []
    assert sorted(without_padding) == sorted(expected)


@every_lengths
def test_a_sequence_is_longer_than_half_of_its_group(lengths):
    """So that fewer than half of the places are padding, whatever the lengths."""
    packing = Packing(torch.tensor(lengths, dtype=torch.long))
    falling = iter(sorted(lengths, reverse=True))
    for count, width in packing.groups:
        assert all(width / 2 < next(falling) <= width for _ in range(count))


def test_grouping_and_its_inverse_have_each_others_gradients():
    packing = Packing(torch.tensor([3, 1, 6]))
    x = torch.randn(10, 2, dtype=torch.double, requires_grad=True)
    y = torch.randn(packing.num_places, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(packing.group, x) and torch.autograd.gradcheck(packing.ungroup, y)


@pytest.mark.parametrize(
    "rows", [[[5, 6, 7], [8, 0, 0]], [[5, 6, 7], [0, 0, 8]], [[5, 0, 6], [0, 8, 0]]], ids=["right", "left", "inside"]
)
def test_padded_sequences_are_packed_wherever_their_padding_stands(rows):
    items, packing = pack(torch.tensor(rows))
    assert items.tolist() == [item for row in rows for item in row if item]
    assert packing.lengths.tolist() == [sum(item > 0 for item in row) for row in rows]


def test_a_training_batch_selects_the_items_that_have_a_target():
    items, packing = pack(torch.tensor([[5, 6], [7, 0]]))
    x = torch.arange(3.0)
    assert TrainingBatch(items, packing, items, None).select(x) is x
    assert TrainingBatch(items, packing, items[1:], torch.tensor([1, 2])).select(x).tolist() == [1, 2]
