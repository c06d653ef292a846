"""The items that a recommendation is due to, against loops that leave out one item after the other."""

import statistics

import numpy as np
import pytest
import torch

import recbole_sigma
from recbole_sigma.errors import RequestError
from recbole_sigma.recommend.histories import from_tokens
from recbole_sigma.recommend.reasons import LeaveOut
from tests.model.additive import AdditiveScores
from tests.model.helpers import last_position
from tests.model.toy_interests import ToyInterests

WIDTH = 10
MODELS = {
    "additive": (AdditiveScores, {}),
    "interests that score": (ToyInterests, {"num_interests": 3, "initializer_range": 0.5}),
    "SIGMA": ("SIGMA", {"initializer_range": 0.5}),
    "SIGMA of interests": ("SIGMA", {"scorer": "interests", "initializer_range": 0.5}),
    "SASRecAP": ("SASRecAP", {"initializer_range": 0.5}),
    "SASRec": ("SASRec", {"hidden_size": 8, "inner_size": 8, "initializer_range": 0.5}),
    "GRU4Rec": ("GRU4Rec", {"hidden_size": 8, "embedding_size": 8}),
    "FPMC": ("FPMC", {"embedding_size": 8}),
    "Caser": ("Caser", {"embedding_size": 8}),
}
HISTORIES = {
    "short": ["i1", "i2", "i3"],
    "two": ["i5", "i9"],
    "repeats": ["i4", "i7", "i4", "i4", "i30", "i7", "i12"],
    "unknown": ["new", "i8", "i9", "i99", "i10", "i11", "i12"],
    "longer than what is read": [f"i{(7 * number) % 40}" for number in range(14)] + ["i7", "i0", "i7"],
}


def load(train_toy, name):
    model, settings = MODELS[name]
    rec = recbole_sigma.load(train_toy(model, **settings), "cpu", None if isinstance(model, str) else model)
    if model is AdditiveScores:
        rec.model.given.data = torch.from_numpy(np.random.default_rng(1).normal(size=(41, 41))).float()
    return rec


@pytest.fixture(scope="module")
def additive(train_toy):
    return load(train_toy, "additive")


@torch.no_grad()
def all_scores(rec, ids):
    """Scores ``[V]`` after a history, of the last items alone and by itself."""
    row = last_position([*ids[-WIDTH:], 1], width=WIDTH)
    row[rec.model.USER_ID] = torch.zeros(1, dtype=torch.long)  # nobody, whom Caser and FPMC have a vector of
    return rec.model.full_sort_predict(row).flatten()[:41].double().numpy()


def log_probability(scores, item, seen):
    ranked = [score for id_, score in enumerate(scores) if id_ > 0 and id_ not in seen]
    return scores[item] - max(ranked) - np.log(sum(np.exp(score - max(ranked)) for score in ranked))


def falls_by_definition(rec, history, item):
    """By how much the log-probability of the item falls without each item that the model reads."""
    known = [int(id_) for id_ in rec.catalog.ids(history) if id_]
    whole = log_probability(all_scores(rec, known), item, known)
    return {
        own: whole - log_probability(all_scores(rec, [id_ for id_ in known if id_ != own]), item, known)
        for own in set(known[-WIDTH:])
    }


def named_by_definition(falls):
    if len(falls) == 2:
        usual = {own: next(abs(fall) for other, fall in falls.items() if other != own) for own in falls}
    else:
        usual = dict.fromkeys(falls, statistics.median(map(abs, falls.values())))
    clear = [own for own, fall in falls.items() if fall > 2 * usual[own] and fall > 1e-5]
    return sorted(clear, key=falls.get, reverse=True)[:3]


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
@pytest.mark.parametrize("name", MODELS)
def test_reasons_are_those_of_a_loop_over_the_history(train_toy, name, history):
    rec = load(train_toy, name)
    explanation = rec.explain(history, k=6)
    assert explanation.recommendation == rec.recommend([history], k=6)[0]
    recommended = rec.catalog.ids(explanation.recommendation.items)
    everyone = from_tokens([history], rec.catalog)
    (effects,) = rec.leave_out.effects(everyone, torch.from_numpy(recommended).unsqueeze(0))
    assert len(explanation.because) == 6
    for place, item in enumerate(recommended):
        expected = falls_by_definition(rec, history, item)
        found = dict(zip(effects.items.tolist(), effects.falls[:, place].tolist()))
        assert found == pytest.approx(expected, abs=2e-5)
        usual = 2 * statistics.median(map(abs, expected.values()))
        values = sorted(expected.values())
        gaps = [abs(fall - usual) for fall in values] + [high - low for low, high in zip(values, values[1:])]
        if min(gaps) > 1e-4:  # else rounding may decide
            expected = rec.catalog.tokens[named_by_definition(expected)].tolist()
            assert explanation.because[place] == expected


def test_the_items_that_give_most_are_named(additive):
    """i1 and i2 lead to i10, i3 leads to i20 and away from i10; nothing else leads anywhere."""
    given = torch.zeros(41, 41)
    ids = {number: int(additive.catalog.ids([f"i{number}"])[0]) for number in range(40)}
    for own, item, value in ((1, 10, 8.0), (2, 10, 5.0), (3, 20, 6.0), (3, 10, -1.0)):
        given[ids[own], ids[item]] = value
    before, additive.model.given.data = additive.model.given.data, given
    found = additive.explain(["i4", "i2", "i5", "i3", "i1", "i6", "i7"], k=2)
    additive.model.given.data = before
    assert found.recommendation.items == ["i10", "i20"]
    assert found.because == [["i1", "i2"], ["i3"]]
    assert found.interests == [] and found.closest_interest == []


def test_nothing_is_named_where_no_item_stands_out(additive):
    before, additive.model.given.data = additive.model.given.data, torch.ones(41, 41)
    additive.model.given.data[:, 5] = 2
    found = additive.explain([additive.catalog.tokens[id_] for id_ in (1, 2, 3, 4)], k=1)
    additive.model.given.data = before
    assert found.recommendation.items == [additive.catalog.tokens[5]]
    assert found.because == [[]]


@pytest.mark.parametrize("history", [["i3"], ["new", "i3", "i3"]])
def test_the_only_item_is_the_reason(additive, history):
    assert additive.explain(history, k=4).because == [["i3"]] * 4


def test_what_is_not_read_is_no_reason_but_comes_in_where_something_is_left_out(additive):
    """Only the last ten items are read, here of twelve; without one of them, the eleventh is."""
    given = torch.zeros(41, 41)
    history = [f"i{number}" for number in range(12)]
    ids = additive.catalog.ids(history).tolist()
    target = int(additive.catalog.ids(["i30"])[0])
    given[ids[0], target] = given[ids[1], target] = 9.0
    given[ids[11], target] = 9.0
    before, additive.model.given.data = additive.model.given.data, given
    found = additive.explain(history, k=1)
    additive.model.given.data = before
    assert found.recommendation.items == ["i30"]
    assert found.because == [[]]  # i1 makes up for i11


def test_reasons_depend_neither_on_k_nor_on_other_histories(train_toy):
    rec = load(train_toy, "SASRecAP")
    history = HISTORIES["repeats"]
    many = rec.explain(history, k=20)
    assert rec.explain(history, k=3).because == many.because[:3]
    recommended = torch.from_numpy(rec.catalog.ids(many.recommendation.items)).unsqueeze(0)
    everyone = [["i1"], history, HISTORIES["longer than what is read"], history]
    together = rec.leave_out.effects(from_tokens(everyone, rec.catalog), recommended.repeat(4, 1))
    one_by_one = LeaveOut(rec._exact, rec._rows, WIDTH, 1).effects(from_tokens([history], rec.catalog), recommended)
    for effects in (together[1], together[3], one_by_one[0]):
        assert [rec.catalog.tokens[items].tolist() for items in effects.named()] == many.because
    np.testing.assert_allclose(together[1].falls, together[3].falls, atol=1e-5)


def test_an_index_gives_the_exact_reasons(train_toy):
    rec = load(train_toy, "SASRecAP")
    pytest.importorskip("faiss")
    index = rec.index(probes=1000)
    assert index.explain(HISTORIES["repeats"], k=5).because == rec.explain(HISTORIES["repeats"], k=5).because


def test_where_nothing_is_left_to_recommend_there_is_nothing_to_explain(additive):
    found = additive.explain(additive.catalog.tokens[1:].tolist(), k=3)
    assert found.recommendation.items == [] and found.because == []


def test_places_without_an_item_have_no_reason(additive):
    (effects,) = additive.leave_out.effects(from_tokens([["i1", "i2", "i3"]], additive.catalog), torch.tensor([[7, 0]]))
    assert (effects.falls[:, 1] == 0).all() and effects.named()[1] == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([], 3), "the history has no item that the model knows"),
        ((["new"], 3), "the history has no item that the model knows"),
        (("i1", 3), "expected a list of item tokens"),
        ((["i1"], 0), "k is 0"),
        ((["i1"], 41), "k is 41"),
        ((["i1"], 3, 0), "nearest is 0"),
        (([1.5], 3), "history 0 has 1.5"),
    ],
)
def test_wrong_requests_are_refused(additive, arguments, message):
    with pytest.raises(RequestError, match=message):
        additive.explain(*arguments)
