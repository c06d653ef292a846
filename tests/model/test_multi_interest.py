"""A model with several vectors per user: its loss and scores by their definitions, and what use makes of it."""

import pytest
import torch

import recbole_sigma
from recbole_sigma.errors import RequestError
from recbole_sigma.layers.packing import pack
from tests.model.helpers import NUM_ITEMS, build_random, last_position, packed, pad
from tests.model.toy_interests import ToyInterests

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


@pytest.fixture(scope="module")
def rec(toy_path, tmp_path_factory):
    """The toy, trained on the data set ``toy`` and loaded from its checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("interests"))
        settings = {"data_path": str(toy_path), "epochs": 1, "num_interests": K, "hidden_size": 8, "state": "error"}
        settings["MAX_ITEM_LIST_LENGTH"] = 10
        path = recbole_sigma.run_recbole_sigma(ToyInterests, "toy", config_dict=settings)["checkpoint"]
        rec = recbole_sigma.load(path, device="cpu", model_class=ToyInterests)
    with torch.no_grad():
        for parameter in rec.model.parameters():
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
        rec.model.item_embedding.weight[0] = 0
    return rec


@torch.no_grad()
def test_explanations_follow_from_interests_and_weights(rec):
    history = ["i3", "i9", "i30", "i9", "i2"]
    ids = rec.catalog.ids(history).tolist()
    weight, attention = rec.model.item_embedding.weight, rec.model.attention
    interests = interests_of(weight, attention, ids)
    shares = torch.stack([attention(weight[item]).exp() for item in ids])  # [T, K]
    scores = interests @ weight.T
    found = rec.explain(history, k=4, nearest=3)
    assert found.recommendation == rec.recommend([history], k=4)[0]
    intensity = shares.sum(0) / shares.sum()
    assert [interest.category for interest in found.interests] == intensity.argsort(descending=True).tolist()
    for interest in found.interests:
        k = interest.category
        assert interest.intensity == pytest.approx(intensity[k].item(), rel=1e-5)
        assert interest.items == [token for token, row in zip(history, shares) if row.argmax() == k]
        assert interest.nearest == rec.catalog.tokens[1 + scores[k, 1:].topk(3).indices.numpy()].tolist()
        assert interest.spread is None
    recommended = rec.catalog.ids(found.recommendation.items)
    assert found.closest_interest == scores[:, recommended].argmax(0).tolist()
    unseen = [item for item in range(1, len(weight)) if item not in ids]
    best = scores.amax(0)[unseen].topk(4)
    assert found.recommendation.scores == pytest.approx(best.values.tolist(), rel=1e-5)
    assert recommended.tolist() == [unseen[index] for index in best.indices]


def test_an_index_of_all_lists_finds_what_the_exact_search_finds(rec):
    histories = [["i1", "i2", "i3"], ["i7"], [f"i{n}" for n in range(25)]]
    index = rec.index(probes=10_000)
    for found, expected in zip(index.recommend(histories, 5), rec.recommend(histories, 5)):
        assert found.items == expected.items
        assert found.scores == pytest.approx(expected.scores, rel=1e-5)
    assert index.recall(histories, 5) == 1.0


def test_a_model_that_learns_no_categories_says_so(rec):
    with pytest.raises(RequestError, match="ToyInterests learns no categories of items; .* SIGMA"):
        rec.categories()
