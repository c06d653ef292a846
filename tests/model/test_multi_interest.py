"""A model with several vectors per user: its loss and its scores by their definitions."""

import torch

from recbole_sigma.layers.packing import pack
from tests.model.helpers import NUM_ITEMS, build_random, last_position, packed, pad

SEQUENCES = [[3, 7, 7, 12, 1, 20], [5, 9], [20, 4, 11, 3, 8, 2, 6], [9, 9, 14, 5]]
K = 3


def interests_of(weight, attention, history):
    """Interests ``[K, D]`` after a history of ids: means of the item vectors, weighted by exp of a linear score."""
    rows = []
    for k in range(K):
        shares = [(attention.weight[k] @ weight[item] + attention.bias[k]).exp() for item in history]
        rows.append(sum(share * weight[item] for share, item in zip(shares, history)) / sum(shares))
    return torch.stack(rows)


def test_loss_is_the_cross_entropy_of_the_best_interest_of_each_item():
    model = build_random("ToyInterests", temperature=0.5).train()
    weight = model.item_embedding.weight
    expected = []
    for sequence in SEQUENCES:
        for end in range(1, len(sequence)):
            interests = interests_of(weight, model.attention, sequence[:end])
            scores = torch.stack([max(u @ weight[item] for u in interests) / 0.5 for item in range(1, NUM_ITEMS)])
            expected.append(-scores.log_softmax(0)[sequence[end] - 1])
    expected = torch.stack(expected)
    terms = model.loss_terms(packed(*SEQUENCES))
    assert terms.sums.keys() == {"ce"} and not terms.values and terms.num_targets == len(expected)
    torch.testing.assert_close(terms.sums["ce"], expected.sum())
    loss = model.calculate_loss(packed(*SEQUENCES))
    of = list(model.parameters())
    for own, other in zip(torch.autograd.grad(loss, of), torch.autograd.grad(expected.mean(), of)):
        torch.testing.assert_close(own, other)


@torch.no_grad()
def test_users_are_their_interests_after_the_last_item_divided_by_the_temperature():
    model = build_random("ToyInterests", temperature=0.5).eval()
    histories = [sequence[:-1] for sequence in SEQUENCES]
    expected = [interests_of(model.item_embedding.weight, model.attention, history) / 0.5 for history in histories]
    torch.testing.assert_close(model.encode_users(*pack(pad(histories))), torch.stack(expected))
    torch.testing.assert_close(model.user_vectors(last_position(*SEQUENCES)), torch.stack(expected))
