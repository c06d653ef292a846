"""Models on padded sequences against the same on packed ones."""

import pytest
import torch

from recbole_sigma.layers.packing import pack
from recbole_sigma.layers.padded_packing import PaddedPacking
from tests.model.helpers import MAX_LENGTH, build_random, pad

SEQUENCES = [[3, 7, 7, 12, 1, 20], [5], [20, 4, 11, 3, 8, 2, 6], [9, 9], list(range(1, MAX_LENGTH + 1))]
POSITIONS = ["relative", "rotary", "absolute"]
MODELS = {
    "SASRecAP": {},
    "SIGMA": {"decoder_context": "interests"},
    "SIGMA of interests": {"scorer": "interests"},
    "SIGMA of means": {"scorer": "interests", "soft_interest": "mean", "mixture_mask": True},
    "SIGMA with a mask": {"decoder_context": "interests", "mixture_mask": True, "interest": "hard"},
}
EVERY_PAIR = [
    (name, position, (0, 2, 4)[(i + j) % 3]) for i, name in enumerate(MODELS) for j, position in enumerate(POSITIONS)
]
"""Every model with every position and every number of groups, and every position with every number of groups."""


@pytest.mark.parametrize("name, position, groups", EVERY_PAIR)
@torch.no_grad()
def test_users_are_the_same_whatever_the_width(name, position, groups):
    model = build_random(name.split()[0], position=position, history_average=groups, **MODELS[name]).eval()
    for sequences in (SEQUENCES, SEQUENCES[:4], SEQUENCES[1:2]):
        expected = model.encode_users(*pack(pad(sequences)))
        longest = max(map(len, sequences))
        for width in {longest, min(longest + 1, MAX_LENGTH), MAX_LENGTH}:
            item_seq = pad(sequences, width)
            users = model.encode_users(item_seq.flatten(), PaddedPacking(item_seq, MAX_LENGTH))
            torch.testing.assert_close(users, expected)


def test_a_row_without_items_has_its_first_place_as_the_last():
    assert PaddedPacking(torch.tensor([[0, 0], [5, 0], [5, 6]]), 2).last.tolist() == [0, 2, 5]


def functions_of(packing, network, x):
    """What a packing makes of item vectors: sums, the reversed order, and the states of a network."""
    states = packing.recurrent(network, x)
    return packing.prefix_sums(x), x[packing.mirror], states, packing.segment_sums(x), states[packing.last]


@pytest.mark.parametrize("batch_first", [False, True])
@torch.no_grad()
def test_sums_mirror_and_networks_are_those_of_packed_sequences(batch_first):
    torch.manual_seed(0)
    embedding, network = torch.nn.Embedding(21, 3).double(), torch.nn.GRU(3, 4, batch_first=batch_first).double()
    sequences = [*SEQUENCES, [4]]
    items, packing = pack(pad(sequences))
    expected = functions_of(packing, network, embedding(items))
    assert packing.sequence.tolist() == [row for row, sequence in enumerate(sequences) for _ in sequence]
    for width in (MAX_LENGTH, MAX_LENGTH + 3):
        item_seq = pad(sequences, width)
        padded = PaddedPacking(item_seq, MAX_LENGTH + 3)
        is_item = item_seq.flatten() != 0
        of_items = functions_of(padded, network, embedding(item_seq.flatten()))
        for own, other in zip((y[is_item] for y in of_items[:3]), expected):
            torch.testing.assert_close(own, other)
        for own, other in zip(of_items[3:], expected[3:]):
            torch.testing.assert_close(own, other)
        assert torch.equal(padded.sequence[is_item], packing.sequence)


def test_a_trace_of_them_runs_for_any_batch_and_length():
    class Functions(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.network = torch.nn.Embedding(21, 3), torch.nn.GRU(3, 4)

        def forward(self, item_seq):
            packing = PaddedPacking(item_seq, MAX_LENGTH)
            sums, mirrored, states, total, last = functions_of(
                packing, self.network, self.embedding(item_seq.flatten())
            )
            return sums, mirrored, states, total, last

    module = Functions().eval()
    sizes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("length", min=1, max=MAX_LENGTH)}
    example = torch.ones(2, MAX_LENGTH, dtype=torch.long)
    with torch.no_grad():
        program = torch.export.export(module, (example,), dynamic_shapes=(sizes,), strict=False).module()
        for sequences in ([[3]], SEQUENCES, SEQUENCES[:2]):
            item_seq = pad(sequences)
            torch.testing.assert_close(program(item_seq), module(item_seq))
