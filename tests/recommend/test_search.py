"""Approximate search against the exact ranking and against products computed one by one."""

import sys

import numpy as np
import pytest
import torch

import recbole_sigma
from recbole_sigma import run_recbole_sigma
from recbole_sigma.errors import MissingExtraError, RequestError
from recbole_sigma.model import MODELS
from recbole_sigma.recommend.search import ProductIndex

NUM_ITEMS = 4_000
D = 16


def clustered(num_rows, seed, spread=0.5):
    """Vectors around 50 centres, of lengths that differ."""
    centres = torch.randn(50, D, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    own = centres[torch.randint(50, (num_rows,), generator=generator)]
    vectors = own + spread * torch.randn(num_rows, D, generator=generator)
    return vectors * (0.4 * torch.randn(num_rows, 1, generator=generator)).exp()


# The index of vectors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_items", [1, 39, 500, 3_000])
def test_all_lists_together_find_the_largest_products(num_items):
    items, queries = clustered(num_items, 1), clustered(20, 2)
    expected = (queries @ items.T).topk(min(num_items, 10)).indices
    assert torch.equal(ProductIndex(items, probes=10_000).search(queries, expected.shape[1]), expected)


def test_lists_by_distance_find_most_of_the_largest_products():
    items, queries = clustered(20_000, 1), clustered(100, 2)
    expected = (queries @ items.T).topk(20).indices
    recall = {}
    for probes in (1, 8, 64):
        found = ProductIndex(items, probes).search(queries, 20)
        recall[probes] = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(found.tolist(), expected.tolist())])
    assert recall[1] < recall[8] < recall[64]
    assert recall[64] > 0.98


def test_what_is_not_found_is_minus_one(capfd):
    items = clustered(400, 1)
    found = ProductIndex(items, probes=1).search(items[:3], 400)
    assert (found[:, -1] == -1).all() and (found[:, 0] >= 0).all()
    assert capfd.readouterr() == ("", "")


# Recommendations -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Trains a model on 4,000 items, and gives its items vectors that an index has to find."""
    folder = tmp_path_factory.mktemp("shop")
    generator = np.random.default_rng(0)
    order = np.concatenate([generator.permutation(NUM_ITEMS) for _ in range(2)]).reshape(-1, 20)
    rows = [f"u{user}\ti{item}\t{time}\n" for user, items in enumerate(order) for time, item in enumerate(items)]
    (folder / "shop").mkdir()
    (folder / "shop" / "shop.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(rows))

    def make(model, **settings):
        small = {"hidden_size": D, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10, "epochs": 1, "state": "error"}
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            result = run_recbole_sigma(model, "shop", config_dict={"data_path": str(folder), **small, **settings})
        rec = recbole_sigma.load(folder / result["checkpoint"], device="cpu")
        with torch.no_grad():
            rec.model.item_embedding.weight[1:] = clustered(len(rec.catalog), 3)
            for name, parameter in rec.model.named_parameters():
                if not name.startswith("item_embedding"):
                    parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
        return rec

    return make


@pytest.fixture(scope="module", params=[{}, {"scorer": "interests"}], ids=["one vector", "four vectors"])
def rec(request, shop):
    return shop("SIGMA", **request.param)


@pytest.fixture(scope="module")
def histories(rec):
    generator = np.random.default_rng(1)
    return [rec.catalog.tokens[generator.integers(1, NUM_ITEMS, length)].tolist() for length in (1, 3, 30, 300, 12)]


def test_with_all_lists_it_recommends_what_the_exact_search_recommends(rec, histories):
    index = rec.index(kind="faiss", probes=10_000)
    for settings in ({}, {"keep_seen": True}):
        found, expected = index.recommend(histories, 15, **settings), rec.recommend(histories, 15, **settings)
        for one, other in zip(found, expected):
            assert one.items == other.items
            assert one.scores == pytest.approx(other.scores, rel=1e-5)
    assert index.recall(histories, 15) == 1.0
    assert repr(index) == "Recommender(SIGMA, 4,000 items, on cpu, approximate search with probes=10000)"


def test_with_few_lists_items_may_be_missing_but_nothing_is_wrong(rec, histories):
    index = rec.index(probes=2)
    everything = rec.recommend(histories, NUM_ITEMS, keep_seen=True)
    shares = []
    for history, one, exact, full in zip(
        histories, index.recommend(histories, 20), rec.recommend(histories, 20), everything
    ):
        scores = dict(zip(full.items, full.scores))
        assert len(set(one.items)) == 20 and not set(one.items) & set(history)
        assert one.scores == pytest.approx([scores[item] for item in one.items], rel=1e-5)
        assert one.scores == sorted(one.scores, reverse=True)
        shares.append(len(set(one.items) & set(exact.items)) / 20)
    assert index.recall(histories, 20) == pytest.approx(np.mean(shares))
    assert rec.index().recall(histories, 20) > 0.95


def test_who_gets_too_few_from_the_lists_gets_the_exact_ranking(rec, histories):
    index = rec.index(probes=1)
    found, expected = index.recommend(histories, 3_600), rec.recommend(histories, 3_600)
    assert [one.items for one in found] == [one.items for one in expected]
    everything = index.recommend(histories[:1], NUM_ITEMS)
    assert len(everything[0].items) == NUM_ITEMS - 1


def test_users_without_a_known_item_get_the_most_popular_and_do_not_count(rec, histories):
    index = rec.index(probes=1)
    unknown = [["nothing"], []]
    assert index.recommend(unknown, 5) == rec.recommend(unknown, 5)
    assert index.recall([*histories, *unknown], 5) == index.recall(histories, 5)
    with pytest.raises(RequestError, match="no history has an item that the model knows"):
        index.recall(unknown)


def test_a_file_of_histories_is_searched_too(rec, histories, tmp_path):
    rows = [f"u{user}\t{item}\t{time}\n" for user, items in enumerate(histories) for time, item in enumerate(items)]
    (tmp_path / "new.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(rows))
    index = rec.index(probes=10_000)
    found = dict(index.recommend_users(tmp_path / "new.inter", 5))
    assert [found[f"u{user}"].items for user in range(len(histories))] == [
        one.items for one in rec.recommend(histories, 5)
    ]


@pytest.mark.parametrize("probes", [0, -1, 1.5, True, "4"])
def test_probes_that_are_no_number_of_lists_are_refused(rec, probes):
    with pytest.raises(RequestError, match="probes is .*; expected a number of lists of at least 1"):
        rec.index(probes=probes)


def test_another_kind_is_refused(rec):
    with pytest.raises(RequestError, match="kind is 'annoy'; expected 'faiss'"):
        rec.index(kind="annoy")


def test_a_model_without_vectors_is_refused(trained_stock):
    expected = f"GRU4Rec has no vectors of users and items to search; expected one of {', '.join(MODELS)}"
    with pytest.raises(RequestError, match=expected):
        recbole_sigma.load(trained_stock, device="cpu").index()


@pytest.fixture
def trained_stock(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"data_path": str(toy_path), "epochs": 1, "MAX_ITEM_LIST_LENGTH": 10, "state": "error"}
    return run_recbole_sigma("GRU4Rec", "toy", config_dict=settings)["checkpoint"]


def test_without_faiss_the_extra_is_named(rec, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"faiss.* pip install 'recbole-sigma\[ann\]'"):
        rec.index()
