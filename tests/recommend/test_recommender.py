"""Recommendations for any history, against scores computed one item at a time."""

import os
import shutil

import numpy as np
import pytest
import torch

import recbole_sigma
from recbole_sigma import deprecation
from recbole_sigma.errors import CheckpointError, RequestError
from recbole_sigma.layers.packing import Packing
from recbole_sigma.model import SASRecAP
from recbole_sigma.training import checkpoint
from tests.model.helpers import build, last_position


@pytest.fixture(scope="module")
def rec(trained):
    return recbole_sigma.load(trained, device="cpu")


def score(rec, history, item):
    """Of one item, from the model's user vectors."""
    items = torch.tensor([int(rec.catalog.ids([token])[0]) for token in history[-10:]])
    with torch.no_grad():
        users = rec.model.encode_users(items, Packing(torch.tensor([len(items)])))[0]
    return float((users @ rec.model.item_vectors[rec.catalog.ids([item])[0]]).max())


def test_the_best_unseen_items_come_with_their_scores(rec):
    histories = [["i1", "i2", "i3"], ["i7"], [f"i{n}" for n in range(25)], ["i1", "i1", "i2"]]
    for history, found in zip(histories, rec.recommend(histories, k=6)):
        scores = {token: score(rec, history, token) for token in rec.catalog.tokens[1:] if token not in history}
        best = sorted(scores, key=scores.get, reverse=True)[:6]
        assert found.items == best
        assert found.scores == pytest.approx([scores[token] for token in best], rel=1e-5, abs=1e-6)
        assert (found.unknown, found.by_popularity) == (0, False)


def test_seen_items_are_ranked_if_asked_for(rec):
    (found,) = rec.recommend([["i1", "i2"]], k=40, keep_seen=True)
    assert sorted(found.items) == sorted(rec.catalog.tokens[1:])
    assert found.scores == sorted(found.scores, reverse=True)


def test_a_user_with_few_items_left_gets_fewer(rec):
    history = [token for token in rec.catalog.tokens[1:] if token not in ("i4", "i9")]
    (found,) = rec.recommend([history], k=10)
    assert sorted(found.items) == ["i4", "i9"]
    assert all(np.isfinite(found.scores))


def test_unknown_items_are_skipped_and_counted(rec):
    with_unknown, without = rec.recommend([["new", "i1", "i99", "i2"], ["i1", "i2"]], k=5)
    assert with_unknown.unknown == 2
    assert with_unknown.items == without.items
    assert with_unknown.scores == pytest.approx(without.scores, rel=1e-5)


def test_nothing_known_means_the_most_popular_items(rec, trained):
    rows = [line.split("\t") for line in (trained.parents[1] / "toy" / "toy.inter").read_text().splitlines()[1:]]
    by_user = {}
    for user, item, _ in rows:
        by_user.setdefault(user, []).append(item)
    counts = dict.fromkeys(rec.catalog.tokens[1:], 0)
    for items in by_user.values():
        for item in items[:-2]:  # the last two are for validation and test
            counts[item] += 1
    for history in ([], ["new"]):
        (found,) = rec.recommend([history], k=7)
        assert found.by_popularity and found.unknown == len(history)
        assert found.scores == sorted(counts.values(), reverse=True)[:7]
        assert [counts[token] for token in found.items] == found.scores


def test_a_history_alone_gets_what_it_gets_among_others(rec):
    histories = [[f"i{(n * 7 + m) % 40}" for m in range(n % 12)] for n in range(700)]
    together = rec.recommend(histories, k=3)
    for number in (1, 5, 17, 600, 699):
        (alone,) = rec.recommend([histories[number]], k=3)
        assert alone.scores == pytest.approx(together[number].scores, rel=1e-5, abs=1e-6)


def test_no_histories_give_no_recommendations(rec):
    assert rec.recommend([], k=3) == []


def test_integers_are_taken_for_tokens(rec):
    assert rec.recommend([[1, 2]], k=3)[0].unknown == 2
    assert rec.recommend(np.array([["i1", "i2"]]), k=3) == rec.recommend([("i1", "i2")], k=3)


@pytest.mark.parametrize(
    "histories, k, message",
    [
        ("i1 i2", 3, "expected a list of histories"),
        (["i1", "i2"], 3, "history 0 is 'i1'; expected a list of item tokens"),
        ([["i1"], 7], 3, "history 1 is 7"),
        ([["i1", None]], 3, "history 0 has None; expected item tokens"),
        ([["i1", 1.5]], 3, "history 0 has 1.5"),
        (None, 3, "histories is None"),
        ([["i1"]], 0, "k is 0; expected a number of items from 1 to 40"),
        ([["i1"]], 41, "k is 41"),
        ([["i1"]], "3", "k is '3'"),
        ([["i1"]], True, "k is True"),
    ],
)
def test_bad_requests_are_refused(rec, histories, k, message):
    with pytest.raises(RequestError, match=message):
        rec.recommend(histories, k)


def test_as_many_users_as_histories_are_expected(rec):
    with pytest.raises(RequestError, match="users has 2 tokens; expected one for each history: 1"):
        rec.recommend([["i1"]], 1, users=["u1", "u2"])


def test_models_with_a_vector_for_each_user_say_so(rec, toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"data_path": str(toy_path), "epochs": 1, "state": "error"}
    fpmc = recbole_sigma.load(recbole_sigma.run_recbole_sigma("FPMC", "toy", config_dict=settings)["checkpoint"])
    assert fpmc.reads_user_id and not rec.reads_user_id
    known, other = (fpmc.recommend([["i1", "i2"]], k=5, users=[user])[0] for user in ("u1", "nobody"))
    assert known.scores != other.scores


def test_the_checkpoint_is_enough(trained, tmp_path, monkeypatch):
    """Alone in another folder."""
    shutil.copy(trained, tmp_path / "alone.pth")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("recbole_sigma.data.dataset.OrderedDataset._load_data", None)
    rec = recbole_sigma.load("alone.pth")
    assert repr(rec) == "Recommender(SIGMA, 40 items, on cpu)"
    assert rec.catalog.titles[rec.catalog.ids(["i7"])[0]] == "The 7th"


def test_a_folder_means_its_newest_checkpoint(trained, tmp_path):
    for age, name in enumerate(
        ("SIGMA-a.pth", "SIGMA-c.pth", "SIGMA-b.pth", "Pop-d.pth", "pretrained-d.pth", ".SIGMA-b.pth.x")
    ):
        shutil.copy(trained, tmp_path / name)
        os.utime(tmp_path / name, (age, age))
    assert recbole_sigma.load(tmp_path).path == str(tmp_path / "SIGMA-b.pth")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="empty has no checkpoint of a sequential model"):
        recbole_sigma.load(tmp_path / "empty")


def test_a_model_of_the_users_is_loaded_with_its_class(toy_path, tmp_path, monkeypatch):
    class Mine(SASRecAP):
        pass

    monkeypatch.chdir(tmp_path)
    settings = {"data_path": str(toy_path), "epochs": 1, "hidden_size": 8, "state": "error"}
    path = recbole_sigma.run_recbole_sigma(Mine, "toy", config_dict=settings)["checkpoint"]
    with pytest.raises(CheckpointError, match=r"is of Mine, .* expected its class as well: load\(.*model_class=Mine"):
        recbole_sigma.load(path)
    assert isinstance(recbole_sigma.load(path, model_class=Mine).model, Mine)


def test_loading_leaves_the_random_numbers_as_they_were(trained):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    recbole_sigma.load(trained)
    assert torch.equal(torch.rand(3), expected)


def test_an_unknown_device_is_refused(trained):
    with pytest.raises(RequestError, match="device is 'gpu7', which cannot be used here"):
        recbole_sigma.load(trained, device="gpu7")


@pytest.mark.parametrize("entry", ["metadata", "config", "state_dict"])
def test_a_checkpoint_with_the_wrong_content_is_refused(trained, tmp_path, entry):
    state = checkpoint.load(trained)
    for content in (None, {}, [], "text", 3, {"tokens": 3}):
        checkpoint.save({**state, entry: content}, tmp_path / "wrong.pth")
        with pytest.raises(CheckpointError):
            recbole_sigma.load(tmp_path / "wrong.pth")


@pytest.mark.parametrize(
    "damage",
    [
        {"popularity": np.arange(3)},
        {"popularity": None},
        {"titles": np.array(["a"], dtype=object)},
        {"tokens": {"item_id": "abc"}},
        {"tokens": {}},
    ],
)
def test_a_catalog_that_does_not_fit_is_refused(trained, tmp_path, damage):
    state = checkpoint.load(trained)
    checkpoint.save({**state, "metadata": {**state["metadata"], **damage}}, tmp_path / "wrong.pth")
    with pytest.raises(CheckpointError):
        recbole_sigma.load(tmp_path / "wrong.pth")


@pytest.mark.parametrize("key", ["eval_batch_size", "MAX_ITEM_LIST_LENGTH"])
def test_a_setting_of_a_checkpoint_that_cannot_be_is_refused(trained, tmp_path, key):
    state = checkpoint.load(trained)
    checkpoint.save({**state, "config": {**state["config"], key: 0}}, tmp_path / "wrong.pth")
    with pytest.raises(CheckpointError, match=f"{key} is 0; expected an integer of at least 1"):
        recbole_sigma.load(tmp_path / "wrong.pth")


def test_more_than_there_is_to_list_is_all_there_is(rec):
    assert len(rec.interests(["i1"], nearest=1000)[0].nearest) == 39  # all but i1
    assert len(rec.categories(typical=1000)[0].typical) == 40
    with pytest.raises(RequestError, match="nearest is 0; expected a number of items of at least 1"):
        rec.interests(["i1"], nearest=0)


def test_the_exact_search_finds_everything(rec):
    histories = [["i1", "i2", "i3"], ["i7"], ["new"], []]
    assert rec.recall(histories, 5) == rec.recall(histories, 40, keep_seen=True) == 1.0


def test_interests_follow_their_definition(rec, monkeypatch):
    history = ["i3", "i9", "i30", "i9"]
    ids = torch.from_numpy(rec.catalog.ids(history))
    encoder = rec.model.interest_encoder
    with torch.no_grad():
        vectors = rec.model.item_embedding(ids)
        mean, log_var, intensity = (part[-1] for part in encoder(vectors, Packing(torch.tensor([4]))))
        probability = encoder.category_logits(vectors).softmax(-1)
        scores = rec.model.interest_decoder(mean) @ rec.model.item_vectors.T
    monkeypatch.setattr("recbole_sigma.recommend.recommender.CANDIDATES", 12)
    found = rec.interests(history, nearest=4)
    supported = set(probability.argmax(1).tolist())
    by_intensity = [number for number in intensity.argsort(descending=True).tolist() if number in supported]
    assert [interest.category for interest in found] == by_intensity and len(supported) < len(intensity)
    recommended = rec.catalog.ids(rec.recommend([history], k=12)[0].items)
    for interest in found:
        k = interest.category
        assert interest.intensity == pytest.approx(float(probability.mean(0)[k]), rel=1e-5)
        assert interest.items == [token for token, row in zip(history, probability) if row.argmax() == k]
        assert interest.spread == pytest.approx(float(log_var[k].exp().mean().sqrt()))
        best = sorted(recommended, key=lambda item: -float(scores[k][item]))[:4]
        assert interest.nearest == rec.catalog.tokens[best].tolist()
    assert {len(interest.nearest) for interest in rec.interests(history, nearest=20)} == {20}


def test_interests_read_the_last_items_only_and_list_none_that_the_user_had(rec):
    long = [f"i{n}" for n in range(30)]
    found, of_the_last = rec.interests(long), rec.interests(long[-10:])
    assert found == rec.interests(["new", *long])
    assert [one._replace(nearest=None) for one in found] == [one._replace(nearest=None) for one in of_the_last]
    assert all(one.nearest and not {*one.nearest} & {*long} for one in found)


def test_categories_follow_their_definition(rec):
    vectors = rec.model.item_embedding.weight.detach()[1:]
    centres = rec.model.interest_encoder.categories.detach()
    cosine = torch.nn.functional.cosine_similarity(vectors.unsqueeze(1), centres.unsqueeze(0), dim=-1)
    found = rec.categories(typical=3)
    assert sum(category.size for category in found) == 40
    assert sum(category.interactions for category in found) == rec.catalog.popularity.sum()
    for category in found:
        k = category.number
        assert category.size == (cosine.argmax(1) == k).sum()
        best = cosine[:, k].argsort(descending=True)[:3]
        assert category.typical == rec.catalog.tokens[1:][best.numpy()].tolist()
        assert category.similarity == pytest.approx(cosine[best, k].tolist(), rel=1e-4)


def test_interests_that_have_no_part_in_the_scores_are_a_description(rec):
    history = ["i3", "i9", "i30"]
    explanation = rec.explain(history, k=5)
    assert rec.model.interests_role == "description"
    assert explanation.recommendation == rec.recommend([history], k=5)[0]
    assert explanation.interests == rec.interests(history)
    assert explanation.closest_interest == []
    assert len(explanation.because) == 5 and {*sum(explanation.because, [])} <= {*history}


def test_an_explanation_names_the_interest_that_scores_an_item(train_toy, monkeypatch):
    monkeypatch.setattr(deprecation, "_warned", set())
    rec = recbole_sigma.load(train_toy("SIGMA", scorer="interests", initializer_range=0.5), "cpu")
    history = ["i3", "i9", "i30"]
    explanation = rec.explain(history, k=5)
    assert rec.model.interests_role == "score"
    ids = torch.from_numpy(rec.catalog.ids(history))
    with torch.no_grad():
        mean = rec.model.interest_encoder(rec.model.item_embedding(ids), Packing(torch.tensor([3]))).mean[-1]
        users = rec.model.interest_decoder(mean)
    items = rec.model.item_vectors[rec.catalog.ids(explanation.recommendation.items)]
    assert explanation.closest_interest == [int((users @ item).argmax()) for item in items]
    with pytest.warns(FutureWarning, match="Explanation.behind is now Explanation.closest_interest"):
        warned = explanation.behind
    assert warned == explanation.closest_interest


@pytest.mark.parametrize(
    "settings, role",
    [
        ({"decoder_context": "interests"}, "context"),
        ({"decoder_context": "none"}, "description"),
        ({"scorer": "interests", "decoder_context": "interests"}, "score"),
    ],
)
def test_the_role_of_interests_is_whether_scores_change_with_them(settings, role):
    """Other interests, drawn anew, give other scores unless they only describe."""
    model = build("SIGMA", **settings).eval()
    row = last_position([3, 7, 1, 12, 5])
    assert model.interests_role == role
    with torch.no_grad():
        before = model.full_sort_predict(row)
        for parameter in model.interest_encoder.parameters():
            parameter.normal_()
        assert torch.equal(before, model.full_sort_predict(row)) == (role == "description")


@pytest.mark.parametrize("history", [[], ["new"]])
def test_nothing_known_has_no_interests(rec, history):
    with pytest.raises(RequestError, match="no item that the model knows"):
        rec.interests(history)


@pytest.mark.parametrize(
    "model, settings, message",
    [
        ("SASRecAP", {}, "SASRecAP has no interests; expected a checkpoint of a model .*: SIGMA"),
        ("SIGMA", {"prior": "standard"}, "SIGMA has no interests with these settings; expected a .*: SIGMA"),
    ],
)
def test_models_without_interests_say_so(toy_path, tmp_path, monkeypatch, model, settings, message):
    monkeypatch.chdir(tmp_path)
    settings = {"data_path": str(toy_path), "epochs": 1, "hidden_size": 8, "state": "error", **settings}
    rec = recbole_sigma.load(recbole_sigma.run_recbole_sigma(model, "toy", config_dict=settings)["checkpoint"])
    for ask in (lambda: rec.interests(["i1"]), rec.categories):
        with pytest.raises(RequestError, match=message):
            ask()
    explanation = rec.explain(["i1"], k=2)
    assert (explanation.interests, explanation.closest_interest) == ([], [])
    assert explanation.because == [["i1"], ["i1"]]
