"""Models on padded sequences against the same on packed ones."""

import itertools

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


@pytest.mark.parametrize(
    "name, position, groups",
    [*itertools.product(MODELS, ["relative"], [0, 4]), *itertools.product(MODELS, POSITIONS, [2])],
)
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
