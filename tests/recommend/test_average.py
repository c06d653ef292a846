"""Averages of trained models: their scores by definition, whatever the members are, and what cannot be averaged."""

import json
import math
import os
import random
import shutil

import numpy as np
import pytest
import torch

import recbole_sigma
from recbole_sigma.errors import CheckpointError, RequestError
from recbole_sigma.model import MODELS
from recbole_sigma.model.average import rows_for
from recbole_sigma.model.multi_interest import MultiInterestRecommender
from recbole_sigma.recommend.members import read_members, write_members
from recbole_sigma.training import checkpoint


class Means(MultiInterestRecommender):
    """Two vectors of a user: shares of the history's items."""

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.share = torch.nn.Linear(config["hidden_size"], self.num_interests)
        self.init_weights(1.0)

    def weights(self, items, packing):
        return self.share(self.item_embedding(items)).softmax(-1)

    def interests(self, items, packing):
        weights = self.weights(items, packing).unsqueeze(-1)
        total = packing.prefix_sums(weights * self.item_embedding(items).unsqueeze(1))
        return total / packing.prefix_sums(weights)


MEMBERS = {
    "three seeds": [("SIGMA", {"seed": 1}), ("SIGMA", {"seed": 2}), ("SIGMA", {"seed": 3})],
    "two sizes": [("SIGMA", {"hidden_size": 4}), ("SASRecAP", {"hidden_size": 16, "normalize_items": True})],
    "several vectors": [
        ("SIGMA", {"scorer": "interests", "num_categories": 3}),
        ("SASRecAP", {}),
        ("SIGMA", {"scorer": "interests", "num_categories": 2, "seed": 1}),
    ],
    "lengths": [("SASRecAP", {"MAX_ITEM_LIST_LENGTH": 3}), ("SIGMA", {}), ("SASRec", {"MAX_ITEM_LIST_LENGTH": 5})],
    "RecBole's": [("SASRec", {}), ("SIGMA", {})],
    "mixtures": [("SIGMA", {"posterior": "target", "num_categories": 2}), ("SASRecAP", {})],
    "too many vectors": [("SIGMA", {"scorer": "interests", "num_categories": 9, "seed": seed}) for seed in (1, 2)],
}
WITH_VECTORS = ["three seeds", "two sizes", "several vectors"]


@pytest.fixture
def members(train_toy):
    """Checkpoints of the members of an average."""
    return lambda name: [train_toy(model, **settings) for model, settings in MEMBERS[name]]


@pytest.fixture(scope="module")
def histories():
    generator = random.Random(0)
    return [[f"i{generator.randrange(40)}" for _ in range(length)] for length in (1, 2, 4, 9, 10, 14)]


def scores_alone(path, histories):
    """Scores ``[B, V]`` of a model that is loaded alone, in float64."""
    rec = recbole_sigma.load(path, "cpu")
    everyone = rec._histories(histories, None, None)
    with torch.no_grad():
        return rec.model.full_sort_predict(rec._rows(everyone)).view(len(histories), -1).double().numpy()


def expected_lists(scores, histories, catalog, k):
    """The k best tokens that are not in the history, by a plain loop."""
    lists = []
    for row, history in zip(scores, histories):
        order = sorted(range(1, len(row)), key=lambda item: -row[item])
        lists.append([catalog.tokens[item] for item in order if catalog.tokens[item] not in history][:k])
    return lists


def scores_of(rec, recommendations):
    return [dict(zip(one.items, one.scores)) for one in recommendations]


@pytest.mark.parametrize("name", MEMBERS)
def test_the_score_is_the_mean_of_the_scores_of_the_members_loaded_alone(name, members, histories):
    paths = members(name)
    mean = np.mean([scores_alone(path, histories) for path in paths], 0)
    rec = recbole_sigma.load(paths, "cpu")
    found = rec.recommend(histories, 12)
    assert [one.items for one in found] == expected_lists(mean, histories, rec.catalog, 12)
    for own, row in zip(scores_of(rec, found), mean):
        for token, score in own.items():
            assert score == pytest.approx(row[rec.catalog.ids([token])[0]], abs=1e-6 * np.abs(row).max())
    rows = rec._rows(rec._histories(histories, None, None))
    with torch.no_grad():
        assert np.allclose(rec.model.full_sort_predict(rows)[:, 1:], mean[:, 1:], atol=1e-6, rtol=1e-5)
        rows.interaction["item_id"] = torch.arange(1, 7)
        assert np.allclose(rec.model.predict(rows), mean[range(6), range(1, 7)], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", WITH_VECTORS)
def test_it_is_one_product_of_concatenated_vectors(name, members, histories):
    paths = members(name)
    mean = np.mean([scores_alone(path, histories) for path in paths], 0)
    rec = recbole_sigma.load(paths, "cpu")
    singles = [recbole_sigma.load(path, "cpu").model for path in paths]
    rows = rec._rows(rec._histories(histories, None, None))
    with torch.no_grad():
        users, items = rec.model.user_vectors(rows), rec.model.item_vectors
        numbers = [single.user_vectors(rows).shape[1] for single in singles]
    assert items.shape == (41, sum(single.item_vectors.shape[1] for single in singles))
    assert users.shape == (len(histories), math.prod(numbers), items.shape[1])
    products = (users.double() @ items.double().T).amax(1).numpy()
    assert np.allclose(products[:, 1:], mean[:, 1:], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in MEMBERS if name != "too many vectors"])
def test_probabilities_are_averaged_as_float64_does(name, members, histories):
    paths = members(name)
    probabilities = []
    for path in paths:
        scores = scores_alone(path, histories)[:, 1:]
        exponents = np.exp(scores - scores.max(1, keepdims=True))
        probabilities.append(exponents / exponents.sum(1, keepdims=True))
    mean = np.log(np.mean(probabilities, 0))
    rec = recbole_sigma.load(paths, "cpu", average="probabilities")
    rows = rec._rows(rec._histories(histories, None, None))
    with torch.no_grad():
        found = rec.model.full_sort_predict(rows)
    assert np.allclose(found[:, 1:], mean, atol=2e-6)
    assert (found[:, 0] == -math.inf).all()
    lists = expected_lists(np.pad(mean, ((0, 0), (1, 0))), histories, rec.catalog, 5)
    assert [one.items for one in rec.recommend(histories, 5)] == lists
    rows.interaction["item_id"] = torch.arange(1, 7)
    with torch.no_grad():
        assert np.allclose(rec.model.predict(rows), mean[range(6), range(6)], atol=2e-6)


def test_probabilities_of_large_scores_neither_overflow_nor_vanish(members, histories):
    rec = recbole_sigma.load(members("three seeds"), "cpu", average="probabilities")
    rows = rec._rows(rec._histories(histories, None, None))
    with torch.no_grad():
        alone = [member.full_sort_predict(rows).double() * 3000 for member in rec.model.members]
        for member in rec.model.members:
            member.temperature /= 3000
        found = rec.model.full_sort_predict(rows)
    logs = torch.stack([own[:, 1:].log_softmax(1) for own in alone])
    expected = logs.logsumexp(0) - math.log(3)
    assert found[:, 1:].isfinite().all() and expected.min() < -300  # no probability in float32
    assert torch.allclose(found[:, 1:].double(), expected, rtol=1e-4, atol=1e-3)


def test_combinations_of_vectors_are_not_ranked_where_the_scores_are_fewer_products(members, histories, monkeypatch):
    several, single = (recbole_sigma.load(members(name), "cpu") for name in ("several vectors", "three seeds"))
    expected = single.recommend(histories)
    for rec in (several, single):
        monkeypatch.setattr(type(rec.model), "user_vectors", lambda *args: 1 / 0)
    assert len(several.recommend(histories)) == len(expected)
    with pytest.raises(ZeroDivisionError):
        single.recommend(histories)


def test_the_order_of_the_members_changes_nothing_but_rounding(members, histories):
    paths = members("several vectors")
    first, second = (recbole_sigma.load(own, "cpu").recommend(histories, 20) for own in (paths, paths[::-1]))
    for one, other in zip(first, second):
        assert one.items == other.items and np.allclose(one.scores, other.scores, atol=1e-6)


def test_each_member_reads_its_own_last_items(members, histories):
    rec = recbole_sigma.load(members("lengths"), "cpu")
    everyone = rec._histories(histories, None, None)
    rows, short = rec._rows(everyone), rec.model.members[0]
    cut = rows_for(short, rows)
    for history, items, length in zip(histories, cut[short.ITEM_SEQ].tolist(), cut[short.ITEM_SEQ_LEN].tolist()):
        assert length == min(3, len(history))
        assert items[:length] == rec.catalog.ids(history)[-3:].tolist() and not any(items[length:])
    assert rows_for(rec.model.members[1], rows) is rows


@pytest.mark.parametrize("name", [*WITH_VECTORS, "lengths of the plugin's"])
def test_an_index_that_searches_all_lists_ranks_as_the_average(name, members, train_toy, histories):
    pytest.importorskip("faiss")
    lengths = [train_toy("SASRecAP", MAX_ITEM_LIST_LENGTH=3), train_toy("SIGMA")]
    rec = recbole_sigma.load(members(name) if name in MEMBERS else lengths, "cpu")
    for own, found in zip(rec.recommend(histories, 7), rec.index(probes=1000).recommend(histories, 7)):
        assert own.items == found.items and np.allclose(own.scores, found.scores, atol=1e-6)


@pytest.mark.parametrize(
    "name, average, reason",
    [
        ("RecBole's", "logits", "SASRec has no vectors of users and items"),
        ("mixtures", "logits", "a member is SIGMA, and its score is a mixture of the softmaxes of its interests"),
        ("too many vectors", "logits", "9 and 9 vectors of a user, which make 81 combinations; expected at most 64"),
        ("three seeds", "probabilities", "the logarithm of a mean of probabilities is no product of vectors"),
    ],
)
def test_an_index_is_refused_with_the_reason_where_there_are_no_vectors(name, average, reason, members):
    with pytest.raises(RequestError, match=reason):
        recbole_sigma.load(members(name), "cpu", average=average).index()


def test_a_model_of_ones_own_is_a_member_beside_others(train_toy, histories):
    paths = [train_toy(Means, num_interests=2), train_toy("SIGMA")]
    with pytest.raises(CheckpointError, match="is of Means, .* expected its class"):
        recbole_sigma.load(paths, "cpu")
    rec = recbole_sigma.load(paths, "cpu", model_class=Means)
    alone = recbole_sigma.load(paths[0], "cpu", model_class=Means)
    rows = rec._rows(rec._histories(histories, None, None))
    with torch.no_grad():
        mean = (alone.model.full_sort_predict(rows).double().numpy() + scores_alone(paths[1], histories)) / 2
    assert [one.items for one in rec.recommend(histories, 5)] == expected_lists(mean, histories, rec.catalog, 5)
    assert repr(rec) == "Recommender(average of Means and SIGMA, 40 items, on cpu)"


def test_an_average_reads_what_a_member_reads(train_toy, histories):
    """HGN learns a vector of each user, DIN scores one item at a time."""
    paths = [train_toy("HGN"), train_toy("SIGMA"), train_toy("DIN")]
    users = [f"u{number}" for number in range(len(histories))]
    alone = [recbole_sigma.load(path, "cpu") for path in paths]
    rec = recbole_sigma.load(paths, "cpu")
    assert rec.reads_user_id and alone[0].reads_user_id and not alone[1].reads_user_id
    found = scores_of(rec, rec.recommend(histories, 40, users=users, keep_seen=True))
    singles = [scores_of(one, one.recommend(histories, 40, users=users, keep_seen=True)) for one in alone]
    for own, *others in zip(found, *singles):
        assert len(own) == 40
        for token, score in own.items():
            assert score == pytest.approx(np.mean([other[token] for other in others]), abs=1e-5)
    with pytest.raises(RequestError, match="which HGN, SIGMA and DIN cannot give; expected average: logits"):
        recbole_sigma.load(paths, "cpu", average="probabilities").recommend(histories, users=users)


def test_an_average_is_as_large_as_its_members(members):
    paths = members("three seeds")
    rec = recbole_sigma.load(paths, "cpu")
    alone = [recbole_sigma.load(path, "cpu").model for path in paths]
    assert sum(map(torch.numel, rec.model.parameters())) == sum(
        sum(map(torch.numel, one.parameters())) for one in alone
    )
    assert rec.path == str(paths[0].with_name(f"{paths[0].stem}-and-2-more.pth"))
    assert not rec.model.training and not any(member.training for member in rec.model.members)


# What is refused ---------------------------------------------------------------------------------------------------


def other_catalog(path, tmp_path, **changes):
    """A copy of a checkpoint that knows other tokens."""
    state = checkpoint.load(path)
    for field, tokens in changes.items():
        state["metadata"]["tokens"][field] = np.array(tokens, dtype=object)
    checkpoint.save(state, tmp_path / "other.pth")
    return tmp_path / "other.pth"


def test_members_of_other_items_or_users_are_refused(trained, tmp_path):
    tokens = checkpoint.load(trained)["metadata"]["tokens"]
    items, users = tokens["item_id"].tolist(), tokens["user_id"].tolist()
    swapped = [items[0], items[2], items[1], *items[3:]]
    other = other_catalog(trained, tmp_path, item_id=swapped)
    says = rf"other.pth knows other items than .*, or in another order: number 1 is '{items[2]}' and '{items[1]}'"
    with pytest.raises(CheckpointError, match=says):
        recbole_sigma.load([trained, other])
    other = other_catalog(trained, tmp_path, user_id=[*users, "somebody"])
    with pytest.raises(CheckpointError, match=r"other.pth knows 61 users, and .* 60; expected models of one data set"):
        recbole_sigma.load([trained, other])


def test_members_of_other_columns_are_refused(trained, tmp_path):
    state = checkpoint.load(trained)
    state["config"]["ITEM_LIST_LENGTH_FIELD"] = "length"
    checkpoint.save(state, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="calls ITEM_SEQ_LEN 'length', and .* calls it 'item_length'"):
        recbole_sigma.load([trained, tmp_path / "other.pth"])


def test_wrong_requests_are_refused(trained, members, tmp_path):
    paths = members("three seeds")
    with pytest.raises(RequestError, match="average is 'mean'; expected one of logits, probabilities"):
        recbole_sigma.load(paths, average="mean")
    with pytest.raises(RequestError, match="no checkpoint is given"):
        recbole_sigma.load([])
    with pytest.raises(RequestError, match="is given twice; expected different ones"):
        recbole_sigma.load([paths[0], paths[1], paths[0]])
    with pytest.raises(RequestError, match="average is 'logits' for one checkpoint, .*; expected several"):
        recbole_sigma.load(trained, average="logits")
    with pytest.raises(CheckpointError, match="missing.pth does not exist"):
        recbole_sigma.load([trained, tmp_path / "missing.pth"])
    assert recbole_sigma.load([trained], "cpu").state["model"] == "SIGMA"


# The list of members -----------------------------------------------------------------------------------------------


@pytest.fixture
def written(members, tmp_path):
    """A list of members beside them."""
    (tmp_path / "saved").mkdir()
    paths = [
        shutil.copy(path, tmp_path / "saved" / f"SIGMA-{place}.pth")
        for place, path in enumerate(members("three seeds"))
    ]
    write_members(tmp_path / "saved" / "own.members.json", paths, "probabilities", {"test_result": {"recall@5": 0.5}})
    return tmp_path / "saved" / "own.members.json"


def test_a_list_is_loaded_as_its_members_are(written, members, histories):
    listed = recbole_sigma.load(written, "cpu")
    given = recbole_sigma.load(members("three seeds"), "cpu", average="probabilities")
    assert listed.recommend(histories) == given.recommend(histories)
    assert listed.state["test_result"] == {"recall@5": 0.5} and listed.path == str(written)
    logits = recbole_sigma.load(written, "cpu", average="logits")
    assert logits.state["average"] == "logits" and "test_result" not in logits.state


def test_a_list_names_its_members_by_relative_paths_and_moves_with_them(written, histories, monkeypatch):
    before = recbole_sigma.load(written, "cpu").recommend(histories)
    assert [entry["checkpoint"] for entry in json.loads(written.read_text())["members"]] == [
        "SIGMA-0.pth",
        "SIGMA-1.pth",
        "SIGMA-2.pth",
    ]
    moved = written.parent.rename(written.parent.with_name("moved"))
    assert recbole_sigma.load(moved / written.name, "cpu").recommend(histories) == before
    monkeypatch.chdir(moved)
    assert recbole_sigma.load(written.name, "cpu").recommend(histories) == before


def test_a_folder_means_its_newest_checkpoint_or_list(written):
    folder = written.parent
    for path, time in (
        (written, 3),
        (folder / "SIGMA-1.pth", 2),
        (folder / "SIGMA-0.pth", 1),
        (folder / "SIGMA-2.pth", 1),
    ):
        os.utime(path, (time, time))
    assert recbole_sigma.load(folder, "cpu").path == str(written)
    os.utime(folder / "SIGMA-0.pth", (4, 4))
    assert recbole_sigma.load(folder, "cpu").path == str(folder / "SIGMA-0.pth")


def test_a_missing_or_changed_member_is_an_error(written, trained):
    member = written.parent / "SIGMA-1.pth"
    content = member.read_bytes()
    member.unlink()
    with pytest.raises(CheckpointError, match="SIGMA-1.pth does not exist, a member of the average .*own.members.json"):
        recbole_sigma.load(written)
    member.write_bytes(content[:-1] + b"x")
    with pytest.raises(CheckpointError, match="SIGMA-1.pth has changed since the list .* was written"):
        recbole_sigma.load(written)
    shutil.copy(trained, member)
    with pytest.raises(CheckpointError, match="SIGMA-1.pth has changed"):
        recbole_sigma.load(written)
    member.write_bytes(content)
    assert len(read_members(written).checkpoints) == 3


DAMAGED = {
    "empty": "",
    "no JSON": "{",
    "a list": "[]",
    "a text": '"members"',
    "another format": '{"format": 2, "average": "logits", "members": []}',
    "no average": '{"format": 1, "members": []}',
    "no members": '{"format": 1, "average": "logits"}',
    "one member": '{"format": 1, "average": "logits", "members": [{"checkpoint": "a.pth", "sha256": ""}]}',
    "members without digests": '{"format": 1, "average": "logits", "members": [{"checkpoint": "a"}, {"checkpoint": "b"}]}',
    "numbers": '{"format": 1, "average": "logits", "members": [1, 2]}',
    "null bytes": "\0\0\0",
    "a table of a comparison": '{"dataset": "toy", "rows": []}',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_list_is_an_error(content, tmp_path):
    (tmp_path / "own.members.json").write_text(content)
    with pytest.raises(CheckpointError, match="expected the list of the members of an average"):
        recbole_sigma.load(tmp_path / "own.members.json")


def test_a_list_that_is_missing_no_text_or_beside_others_is_an_error(written, trained, tmp_path):
    with pytest.raises(CheckpointError, match="list of members .*missing.json does not exist"):
        recbole_sigma.load(tmp_path / "missing.json")
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    with pytest.raises(CheckpointError, match="is damaged, or no JSON in UTF-8"):
        recbole_sigma.load(tmp_path / "binary.json")
    with pytest.raises(RequestError, match="is a list of members beside other checkpoints"):
        recbole_sigma.load([written, trained])


def test_all_models_of_the_plugin_are_averaged(train_toy, histories):
    paths = [train_toy(model, seed=seed) for model in MODELS for seed in (1, 2)]
    mean = np.mean([scores_alone(path, histories) for path in paths], 0)
    rec = recbole_sigma.load(paths, "cpu")
    assert [one.items for one in rec.recommend(histories, 5)] == expected_lists(mean, histories, rec.catalog, 5)
