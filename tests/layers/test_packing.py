"""Packed sequences against plain lists of them."""

from contextlib import nullcontext

import pytest
import torch
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from recbole_sigma import deprecation
from recbole_sigma.layers.packing import Packing, TrainingBatch, pack


def any_lengths(function, max_examples=30):
    """Run a test with sequences of any lengths, and with those at which something changes."""
    for lengths in (
        [3, 50, 1, 7, 7, 2, 26, 25, 1],
        [4, 4, 4],
        [5],
        [1, 1, 1],
        [0, 3, 0, 1, 0],
        [1, 2, 4, 8, 16, 32, 64],
        [],
        [0, 0],
    ):
        function = example(lengths=lengths)(function)
    return given(lengths=st.lists(st.integers(0, 40), max_size=8))(examples(max_examples=max_examples)(function))


def packing_of(lengths, device="cpu"):
    return Packing(torch.tensor(lengths, dtype=torch.long), device)


@any_lengths
def test_positions_and_last_items_are_those_of_each_sequence(lengths):
    packing = packing_of(lengths)
    assert packing.position.tolist() == [place for length in lengths for place in range(length)]
    assert packing.last.tolist() == [sum(lengths[: row + 1]) - 1 for row in range(len(lengths))]
    assert packing.longest == max(lengths, default=0)
    names = torch.arange(len(lengths)) * 10
    assert packing.sequence.tolist() == [row for row, length in enumerate(lengths) for _ in range(length)]
    assert packing.repeat(names).tolist() == [10 * row for row, length in enumerate(lengths) for _ in range(length)]


@any_lengths
def test_buckets_hold_every_sequence_once_padded_on_the_right_to_less_than_twice_its_length(lengths):
    packing = packing_of(lengths)
    item = torch.arange(1, sum(lengths) + 1).float().unsqueeze(1)
    padded = packing.to_buckets(item)
    assert torch.equal(packing.from_buckets(padded), item)
    kept, widest = [], [packing.longest]
    for part, (count, width) in zip(padded.split([c * w for c, w in packing.buckets]), packing.buckets):
        assert width <= widest[-1]  # longest first
        widest.append(width)
        for row in part.view(count, width).tolist():
            own = [value for value in row if value]
            assert row == [*own, *[0] * (width - len(own))] and width < 2 * len(own)
            kept.append(own)
    expected = [part.flatten().tolist() for part in item.split(lengths) if len(part)] if lengths else []
    assert sorted(kept) == sorted(expected)


def test_buckets_and_their_inverse_have_each_others_gradients():
    packing = packing_of([3, 1, 6])
    x = torch.randn(10, 2, dtype=torch.double, requires_grad=True)
    y = torch.randn(packing.num_places, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(packing.to_buckets, x) and torch.autograd.gradcheck(packing.from_buckets, y)


def by_sequence(function, x, lengths):
    """A function of the rows of each sequence, called one by one: the definition of what a packing does at once."""
    return torch.cat([function(part) for part in x.split(lengths) if len(part)]) if sum(lengths) else x


@any_lengths
def test_prefix_sums_segment_sums_and_mirror_are_those_of_each_sequence(lengths):
    packing = packing_of(lengths)
    for shape in ((), (3,), (2, 3)):
        x = torch.randn(sum(lengths), *shape, dtype=torch.double)
        torch.testing.assert_close(packing.prefix_sums(x), by_sequence(lambda part: part.cumsum(0), x, lengths))
        assert torch.equal(x[packing.mirror], by_sequence(lambda part: part.flip(0), x, lengths))
        sums = [part.sum(0) for part in x.split(lengths)] if lengths else []
        torch.testing.assert_close(packing.segment_sums(x), torch.stack(sums) if sums else x)
    ones = torch.ones(sum(lengths), dtype=torch.long)
    assert packing.segment_sums(ones).tolist() == lengths
    assert torch.equal(packing.prefix_sums(ones), packing.position + 1)


def test_prefix_sums_and_segment_sums_have_the_gradients_of_sums():
    packing = packing_of([3, 0, 1, 6])
    x = torch.randn(10, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(packing.prefix_sums, x) and torch.autograd.gradcheck(packing.segment_sums, x)


def test_sums_are_the_same_in_every_batch_to_the_bit():
    x = torch.randn(50, 4)
    alone, together = packing_of([50]), packing_of([3, 50, 77])
    others = torch.cat([torch.randn(3, 4), x, torch.randn(77, 4)])
    assert torch.equal(together.prefix_sums(others)[3:53], alone.prefix_sums(x))
    assert torch.equal(together.segment_sums(others)[1], alone.segment_sums(x)[0])


NETWORKS = {
    "gru": lambda: torch.nn.GRU(3, 4),
    "gru_batch_first": lambda: torch.nn.GRU(3, 4, batch_first=True),
    "two_layers": lambda: torch.nn.GRU(3, 4, num_layers=2),
    "lstm": lambda: torch.nn.LSTM(3, 4),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_a_recurrent_network_reads_each_sequence_from_its_first_item(make):
    torch.manual_seed(0)
    network = make().double()

    def reads_each_sequence(lengths):
        x = torch.randn(sum(lengths), 3, dtype=torch.double, requires_grad=True)
        states = packing_of(lengths).recurrent(network, x)
        assert states.shape == (sum(lengths), 4)
        if sum(lengths):
            expected = by_sequence(lambda part: network(part)[0], x, lengths)  # PyTorch's call without a batch
            torch.testing.assert_close(states, expected)
            of = [x, *network.parameters()]
            weight = torch.randn(states.shape, dtype=torch.double)
            for own, other in zip(*(torch.autograd.grad((y * weight).sum(), of) for y in (states, expected))):
                torch.testing.assert_close(own, other)

    any_lengths(reads_each_sequence, max_examples=5)()


def test_sums_and_networks_of_bfloat16_rows_are_in_float32_also_inside_autocast():
    packing, network = packing_of([200, 3]), torch.nn.GRU(3, 4)
    x = torch.rand(203, 3).bfloat16()
    expected = x.float().split([200, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sums, totals, states = packing.prefix_sums(x), packing.segment_sums(x), packing.recurrent(network, x)
    torch.testing.assert_close(sums, torch.cat([part.cumsum(0) for part in expected]))
    torch.testing.assert_close(totals, torch.stack([part.sum(0) for part in expected]))
    torch.testing.assert_close(states, torch.cat([network(part)[0] for part in expected]))


def test_sums_and_networks_never_wait_for_a_device(monkeypatch):
    """Tensors on the device "meta" have no values: whoever asks for one fails."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # autocast does not know this device
    packing = packing_of([3, 0, 5], "meta")
    x = torch.randn(8, 3, device="meta")
    shapes = [packing.prefix_sums(x), packing.segment_sums(x), packing.mirror, packing.sequence]
    assert [y.shape for y in shapes] == [(8, 3), (3, 3), (8,), (8,)]
    assert packing.recurrent(torch.nn.GRU(3, 4, device="meta"), x).shape == (8, 4)


def test_the_old_name_of_by_bucket_works(monkeypatch):
    monkeypatch.setattr(deprecation, "_warned", set())
    packing = packing_of([2, 1])
    x = torch.randn(3, 2)
    with pytest.warns(FutureWarning, match="by_group is now Packing.by_bucket"):
        assert torch.equal(packing.by_group(lambda rows: 2 * rows, x), 2 * x)


def test_padded_sequences_are_packed_wherever_their_padding_stands():
    for rows in ([[5, 6, 7], [8, 0, 0]], [[5, 6, 7], [0, 0, 8]], [[5, 0, 6], [0, 8, 0]], [[0, 0], [0, 4]]):
        items, packing = pack(torch.tensor(rows))
        assert items.tolist() == [item for row in rows for item in row if item]
        assert packing.lengths.tolist() == [sum(item > 0 for item in row) for row in rows]


def test_a_training_batch_selects_the_items_that_have_a_target():
    items, packing = pack(torch.tensor([[5, 6], [7, 0]]))
    x = torch.arange(3.0)
    assert TrainingBatch(items, packing, items, None).select(x) is x
    assert TrainingBatch(items, packing, items[1:], torch.tensor([1, 2])).select(x).tolist() == [1, 2]


def test_a_subset_of_a_packing_has_the_items_of_its_sequences():
    lengths = torch.tensor([3, 0, 2, 4])
    items = torch.tensor([10, 11, 12, 30, 31, 40, 41, 42, 43])
    packing, index = Packing(lengths).subset(torch.tensor([3, 1, 0]))
    assert items[index].tolist() == [40, 41, 42, 43, 10, 11, 12]
    assert packing.lengths.tolist() == [4, 0, 3]


def test_a_sample_draws_whole_sequences_without_repetition_and_scales_to_all_of_them():
    lengths = torch.tensor([1, 2, 3, 4])
    items = torch.arange(1, 11)
    batch = TrainingBatch(items, Packing(lengths), items + 100, None)
    owner = [sequence for sequence, length in enumerate(lengths.tolist()) for _ in range(length)]
    torch.manual_seed(0)
    drawn = set()
    for _ in range(100):
        sample = batch.sample(0.5)
        of_items = [owner[item - 1] for item in sample.batch.items.tolist()]
        chosen = list(dict.fromkeys(of_items))
        assert len(chosen) == 2 and sample.scale == 2.0
        assert of_items == [sequence for sequence in chosen for _ in range(lengths[sequence])]
        assert sample.batch.packing.lengths.tolist() == lengths[chosen].tolist()
        assert sample.batch.target.tolist() == (sample.batch.items + 100).tolist()
        assert sample.rows(items).tolist() == sample.select(items).tolist() == sample.batch.items.tolist()
        drawn.add(tuple(sorted(chosen)))
    assert len(drawn) == 6  # every pair of the four


@pytest.mark.parametrize("share, count", [(0.01, 1), (0.25, 1), (0.26, 2), (0.75, 3), (1.0, 4)])
def test_the_share_of_a_sample_is_rounded_up(share, count):
    items = torch.arange(1, 9)
    sample = TrainingBatch(items, Packing(torch.tensor([2, 2, 2, 2])), items, None).sample(share)
    assert len(sample.batch.packing.lengths) == count and sample.scale == 4 / count


def test_a_batch_without_a_target_at_every_item_is_sampled_whole():
    items, packing = pack(torch.tensor([[5, 6], [7, 0]]))
    batch = TrainingBatch(items, packing, items[1:], torch.tensor([1, 2]))
    sample = batch.sample(0.5)
    assert sample.batch is batch and sample.scale == 1
    assert sample.select(torch.arange(3.0)).tolist() == [1, 2]
