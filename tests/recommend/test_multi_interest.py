"""A model with several interests and no categories gets explanations and an index without a line of its own."""

import numpy as np
import pytest

import recbole_sigma
from recbole_sigma.cli import main
from recbole_sigma.errors import RequestError
from recbole_sigma.model import MODELS
from tests.model.toy_interests import ToyInterests

HISTORY = ["i1", "i2", "i30", "new", "i2"]


@pytest.fixture(scope="module")
def checkpoint(train_toy):
    return train_toy(ToyInterests, num_interests=3, initializer_range=0.5)


@pytest.fixture(scope="module")
def rec(checkpoint):
    return recbole_sigma.load(checkpoint, "cpu", ToyInterests)


def test_an_explanation_follows_its_definition(rec):
    known = [token for token in HISTORY if token != "new"]
    table = rec.model.item_embedding.weight.detach().double().numpy()
    vectors = table[rec.catalog.ids(known)]
    attention = {name: value.detach().double().numpy() for name, value in rec.model.attention.named_parameters()}
    weights = np.exp(vectors @ attention["weight"].T + attention["bias"])  # [T, K]
    users = (weights / weights.sum(0)).T @ vectors  # [K, D]
    intensity = weights.sum(0) / weights.sum()
    member = weights.argmax(1)
    scores = users @ table[1:].T  # [K, V - 1]

    explanation = rec.explain(HISTORY, k=5, nearest=4)
    supported = [number for number in (-intensity).argsort().tolist() if number in member]
    assert [interest.category for interest in explanation.interests] == supported
    unseen = [number for number in range(40) if rec.catalog.tokens[1 + number] not in HISTORY]
    for interest in explanation.interests:
        number = interest.category
        assert interest.intensity == pytest.approx(intensity[number], rel=1e-5)
        assert interest.items == [token for token, own in zip(known, member) if own == number]
        best = sorted(unseen, key=lambda item: -scores[number][item])[:4]  # all 37 are recommended
        assert interest.nearest == rec.catalog.tokens[1:][best].tolist()
        assert interest.spread is None
    assert explanation.recommendation == rec.recommend([HISTORY], k=5)[0]
    recommended = rec.catalog.ids(explanation.recommendation.items)
    assert explanation.closest_interest == scores[:, recommended - 1].argmax(0).tolist()


def test_an_index_of_all_lists_finds_what_the_exact_ranking_finds(rec):
    histories = [HISTORY, ["i9"], ["new"], [f"i{number}" for number in range(35)]]
    index = rec.index(probes=1000)
    assert index.recall(histories, k=5) == 1
    for found, expected in zip(index.recommend(histories, k=5), rec.recommend(histories, k=5)):
        assert found.items == expected.items
        assert found.scores == pytest.approx(expected.scores, rel=1e-5)
    assert index.interests(HISTORY) == rec.interests(HISTORY)


def test_the_command_shows_the_interests_without_a_spread(rec, checkpoint, monkeypatch, capsys):
    monkeypatch.setitem(MODELS, "ToyInterests", ToyInterests)
    assert main(["explain", f"--checkpoint={checkpoint}", "--device=cpu", "-k=3", "--history", *HISTORY]) == 0
    lines = capsys.readouterr().out.splitlines()
    explanation = rec.explain(HISTORY, k=3)
    heads = [line.split() for line in lines if line.startswith("interest ")]
    assert [head[1:3] for head in heads] == [
        [str(one.category), f"{one.intensity:.1%}"] for one in explanation.interests
    ]
    assert all(set(head[3]) == {"#"} and len(head) == 4 for head in heads)
    assert "The interests of the user, which score the items:" in lines
    assert [line.split()[1] for line in lines[-6::2]] == explanation.recommendation.items
    for line, number in zip(lines[-6::2], explanation.closest_interest):
        assert f"closest interest {number}  The" in line
    for line, reasons in zip(lines[-5::2], explanation.because):
        named = "because you had " + " and ".join(f"The {token[1:]}th" for token in reasons)
        assert line.strip() == (named if reasons else "no single item decides")


def test_categories_that_it_does_not_learn_are_refused(rec, checkpoint, monkeypatch, capsys):
    with pytest.raises(RequestError, match="ToyInterests learns no categories of items"):
        rec.categories()
    monkeypatch.setitem(MODELS, "ToyInterests", ToyInterests)
    assert main(["explain", f"--checkpoint={checkpoint}", "--device=cpu"]) == 2
    error = capsys.readouterr().err
    assert "ToyInterests learns no categories of items" in error and "--history" in error
