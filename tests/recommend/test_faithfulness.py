"""Deletion and agreement, against loops over every recommendation, history and draw."""

import math

import numpy as np
import pytest

from recbole_sigma.evaluation.standard_error import standard_error
from recbole_sigma.recommend import faithfulness
from recbole_sigma.recommend.faithfulness import DRAWS, Deletion, agreement, deletion, long_enough
from recbole_sigma.recommend.histories import from_tokens
from recbole_sigma.recommend.interests import interests_of_row
from tests.recommend.test_reasons import WIDTH, falls_by_definition, load, named_by_definition

HISTORIES = [
    [f"i{number}" for number in (1, 2, 3, 4, 5)],
    [f"i{number}" for number in (30, 2, 2, 31, 7, 8, 30)],
    [f"i{number}" for number in range(20, 34)],
    [f"i{number}" for number in range(0, 38)],  # two items are left to recommend
]
TOP = 4


@pytest.fixture(scope="module")
def additive(train_toy):
    return load(train_toy, "additive")


@pytest.fixture
def short_lists(monkeypatch):
    monkeypatch.setattr(faithfulness, "TOP", TOP)


def top(given, known, seen):
    """The best items after a history of ids, of which the last ones are read."""
    scores = sum(given[own] for own in known[-WIDTH:])
    best = sorted((id_ for id_ in range(1, 41) if id_ not in seen), key=lambda id_: -scores[id_])
    return best[:TOP]


def test_deletion_is_that_of_a_loop(additive, short_lists):
    given = additive.model.given.detach().double().numpy()
    found = deletion(additive.leave_out, from_tokens(HISTORIES, additive.catalog), seed=3)
    generator = np.random.default_rng(3)
    rows = []
    for number, history in enumerate(HISTORIES):
        known = additive.catalog.ids(history).tolist()
        latest_first = list(dict.fromkeys(known[-WIDTH:][::-1]))
        places = generator.random((DRAWS, len(latest_first))).argsort(1)
        draws = [[latest_first[place] for place in own[:2]] for own in places]
        for item in top(given, known, known):
            named = named_by_definition(falls_by_definition(additive, history, item))
            count = min(len(named), 2)

            def leaves(taken, item=item, known=known):
                return item not in top(given, [id_ for id_ in known if id_ not in taken], known)

            at_random = [leaves(draw[:count]) for draw in draws] if count else [False]
            others = [left for draw, left in zip(draws, at_random) if count and not {*draw[:count]} & {*named[:count]}]
            mean = np.mean(others) if others else np.nan
            rows.append((number, len(named), float(leaves(named[:2]) if count else False), np.mean(at_random), mean))
    assert len(rows) == 3 * TOP + 2
    history, num_named, named, random, others = map(np.array, zip(*rows))
    order = lambda one: np.lexsort(one[3::-1])  # noqa: E731
    expected, got = np.array([history, num_named, named, random, others]), np.array(found)
    np.testing.assert_allclose(got[:, order(got)], expected[:, order(expected)])
    assert {0, 1, 2} <= set(num_named.clip(max=2)) and named.any() and 0 < random.mean() < named.mean()


def test_shares_and_errors_follow_their_definitions():
    found = Deletion(
        np.array([0, 0, 1, 1, 2, 2]),
        np.array([2, 3, 2, 0, 1, 2]),
        np.array([1.0, 1, 0, 0, 1, 1]),
        np.array([0.5, 0.25, 0.25, 0, 0.5, 0]),
        np.array([0.25, np.nan, 0.5, np.nan, np.nan, 0]),
    )
    assert [share.mean for share in found.shares()] == pytest.approx([1 / 6, 1 / 6, 4 / 6])
    two = found.compare(2)
    assert (two.number, two.named.mean, two.random.mean, two.ratio.mean) == (4, 0.75, 0.25, 3.0)
    users, named, random = np.array([0, 0, 1, 2]), np.array([1.0, 1, 0, 1]), np.array([0.5, 0.25, 0.25, 0])
    assert two.named.error == pytest.approx(standard_error(named, users))
    of_user = np.bincount(users, weights=(named - 3 * random))
    assert two.ratio.error == pytest.approx(math.sqrt(3 / 2 * (of_user**2).sum()) / random.sum())
    assert two.others.mean == 0.25
    assert two.others.error == pytest.approx(standard_error(np.array([0.25, 0.5, 0]), np.arange(3)))
    one = found.compare(1)
    assert one == (1, (1.0, None), (0.5, None), (2.0, None), None)
    assert Deletion(*(np.array([0]),) * 5).compare(2) is None


def test_without_an_effect_of_the_draws_the_ratio_is_infinite():
    found = Deletion(np.array([0, 1]), np.array([2, 2]), np.ones(2), np.zeros(2), np.zeros(2)).compare(2)
    assert found.ratio == (math.inf, None)


def test_histories_are_long_enough_by_the_items_that_are_read(additive):
    many = [f"i{number % 4}" for number in range(9)]
    histories = [["i1"], HISTORIES[0], many, [*many, "i30"], ["i30", "i31", *many], ["new", *HISTORIES[0][:4]]]
    everyone = from_tokens(histories, additive.catalog)
    assert long_enough(everyone, WIDTH).tolist() == [1, 3, 4]
    assert long_enough(everyone, 9).tolist() == [1, 3]


@pytest.mark.parametrize("name", ["SIGMA", "interests that score"])
def test_agreement_is_that_of_a_loop(train_toy, short_lists, name):
    rec = load(train_toy, name)
    found = agreement(rec.model, rec.leave_out, from_tokens(HISTORIES, rec.catalog))
    of_history, vectors = [], rec.model.item_vectors.detach()
    for history in HISTORIES:
        known = rec.catalog.ids(history).tolist()
        interests = interests_of_row(rec.model, rec._rows(from_tokens([history], rec.catalog))).vectors
        scores = (interests @ vectors.T).tolist()
        (recommended,) = rec.recommend([history], k=TOP)
        of_history.append([])
        for item in rec.catalog.ids(recommended.items):
            closest = max(range(len(scores)), key=lambda number, item=item: scores[number][item])
            own = sorted((id_ for id_ in range(1, 41) if id_ not in known), key=lambda id_: -scores[closest][id_])
            of_history[-1].append(float(item in own[:TOP]))
    values = np.array(sum(of_history, []))
    assert found.mean == pytest.approx(values.mean())
    assert found.error == pytest.approx(
        standard_error(values, np.repeat(range(len(HISTORIES)), list(map(len, of_history))))
    )
    assert (found.mean == 1) == (name == "interests that score")
