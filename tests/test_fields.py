"""Times, users and categories on their way from the files to a model, into its checkpoint and to what it recommends.

Everything is compared with plain loops over the rows that the files were written from.
"""

import re
import shutil
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

import recbole_sigma
from recbole_sigma import Config, run_recbole_sigma
from recbole_sigma.cli import main
from recbole_sigma.data import create_dataset, create_loaders, data_fingerprint
from recbole_sigma.errors import CheckpointError, ConfigError, DataError, RequestError
from recbole_sigma.evaluation import rank_catalog
from recbole_sigma.export import export_checkpoint, load_weights
from recbole_sigma.model import MODELS
from recbole_sigma.quick_start import build_run
from recbole_sigma.report.held_out import open_test_rows, rank_test_rows
from tests.model.fields import SCALES, CategoryMean, RecentInterests, UserMean
from tests.model.helpers import RECBOLE, SMALL, Catalog
from tests.training.interrupted import differences, finish, outcome, start

TOYS = [RecentInterests, UserMean, CategoryMean]
GENRES = ["a", "b", "c", "d"]
NUM_ITEMS, LENGTH, TOP = 25, 5, 3
NOW = 1_769_904_000
SETTINGS = {
    "hidden_size": 8,
    "MAX_ITEM_LIST_LENGTH": LENGTH,
    "train_batch_size": 7,
    "epochs": 2,
    "learning_rate": 0.05,
    "initializer_range": 0.5,
    "topk": [TOP],
    "valid_metric": f"Recall@{TOP}",
    "state": "error",
}
OWN = {
    RecentInterests: {"num_interests": 2},
    UserMean: {},
    CategoryMean: {"category_field": "genre"},
}


class Data(NamedTuple):
    """The toy data set: items and times of each user in order, and the categories of each item, all as tokens."""

    path: str
    items: dict
    times: dict
    genres: dict

    def settings(self, model, **others):
        return {**SETTINGS, **OWN[model], "data_path": self.path, **others}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Times that float32 cannot tell apart, in no order in the file."""
    generator = np.random.default_rng(0)
    rows = []
    for user in range(30):
        count = int(generator.integers(4, 15))
        times = NOW + generator.choice(512, count, replace=False) * 8 + user / 32
        items = generator.integers(0, NUM_ITEMS, count)
        rows += [(f"u{user}", f"i{item}", float(time)) for item, time in zip(items, times)]
    rows = [rows[number] for number in generator.permutation(len(rows))]
    counts = generator.integers(0, 4, NUM_ITEMS)
    genres = {f"i{item}": set(generator.choice(GENRES, count, replace=False)) for item, count in enumerate(counts)}
    folder = tmp_path_factory.mktemp("fields") / "toy"
    folder.mkdir()
    lines = [f"{user}\t{item}\t{time!r}" for user, item, time in rows]
    (folder / "toy.inter").write_text("\n".join(["user_id:token\titem_id:token\ttimestamp:float", *lines]) + "\n")
    lines = [f"{item}\t{' '.join(sorted(own))}" for item, own in genres.items()]
    (folder / "toy.item").write_text("\n".join(["item_id:token\tgenre:token_seq", *lines]) + "\n")
    items, times = {}, {}
    for user, item, time in sorted(rows, key=lambda row: row[2]):
        items.setdefault(user, []).append(item)
        times.setdefault(user, []).append(time)
    return Data(str(folder.parent), items, times, genres)


class Trained(NamedTuple):
    """A run of a toy model: its result, with a checkpoint that lies alone in a folder, and its training batches."""

    model: type
    result: dict
    batches: list

    @property
    def checkpoint(self):
        return self.result["checkpoint"]

    def load(self):
        return recbole_sigma.load(self.checkpoint, "cpu", self.model)


@pytest.fixture(scope="module")
def train(data, tmp_path_factory):
    """A function that trains a toy model, once for all tests."""
    runs = {}

    def train(model):
        if model not in runs:
            model.batches.clear()
            folder, alone = (tmp_path_factory.mktemp(f"{model.__name__}-{kind}") for kind in ("run", "alone"))
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                result = run_recbole_sigma(model, "toy", config_dict=data.settings(model))
                result["checkpoint"] = shutil.copy(result["checkpoint"], alone)
            runs[model] = Trained(model, result, list(model.batches))
        return runs[model]

    return train


@pytest.fixture
def timed(train, monkeypatch, tmp_path):
    """The recommender of a model that reads times, which is known by its name like those of the plugin."""
    monkeypatch.setitem(MODELS, "RecentInterests", RecentInterests)
    monkeypatch.chdir(tmp_path)
    return train(RecentInterests).load()


def categories_of(rec, data):
    """Numbers of the categories of each item by id, as read from the checkpoint; checked against the file."""
    numbers = [set() for _ in rec.catalog.tokens]
    for item, number in zip(*rec._dataset.item_categories):
        numbers[item].add(int(number))
    names = {}
    for token, own in zip(rec.catalog.tokens[1:], numbers[1:]):
        assert len(own) == len(data.genres[token])
        for genre in data.genres[token]:
            names[genre] = names.get(genre, own) & own
    assert sorted(names.values(), key=min) == [{number} for number in range(len(GENRES))]  # one to one
    return numbers


def brute_force_scores(trained, data, end):
    """Scores ``[V]`` of each user after all but the last ``end`` items, in float64 from the parameters."""
    rec = trained.load()
    state = rec.state["state_dict"]
    categories = categories_of(rec, data) if trained.model is CategoryMean else None
    vectors = trained.model.item_vectors_defined(state, categories)
    users = rec.state["metadata"]["tokens"]["user_id"].tolist()
    scores = {}
    for user, items in data.items.items():
        history, times = items[:-end][-LENGTH:], data.times[user][:-end][-LENGTH:]
        vector = trained.model.defined(state, rec.catalog.ids(history), times, users.index(user), categories)
        scores[user] = (vectors @ vector.T).max(1)
    return scores


# Training ------------------------------------------------------------------------------------------------------------


def test_every_batch_has_the_times_of_the_file_to_the_last_digit(train, data):
    trained = train(RecentInterests)
    tokens, found = trained.load().catalog.tokens, Counter()
    for batch in trained.batches:
        assert batch.fields.keys() == {"times"} and batch.fields["times"].dtype == torch.float64
        ends = batch.packing.lengths.cumsum(0)[:-1]
        for items, times in zip(*(np.split(part.numpy(), ends) for part in (batch.items, batch.fields["times"]))):
            assert (times[1:] > times[:-1]).all()
            found.update(zip(tokens[items], times.tolist()))
    inputs = [pair for user, items in data.items.items() for pair in zip(items[:-3], data.times[user])]
    assert len(set(map(np.float32, sum(data.times.values(), [])))) < len(inputs) / 4
    assert found == Counter(inputs * SETTINGS["epochs"])


def test_every_batch_has_the_user_of_each_sequence(train, data):
    trained = train(UserMean)
    rec, found = trained.load(), Counter()
    names = rec.state["metadata"]["tokens"]["user_id"]
    for batch in trained.batches:
        assert batch.fields.keys() == {"users"}
        users = names[batch.fields["users"].repeat_interleave(batch.packing.lengths).numpy()]
        found.update(zip(users, rec.catalog.tokens[batch.items.numpy()]))
    inputs = [(user, item) for user, items in data.items.items() for item in items[:-3]]
    assert found == Counter(inputs * SETTINGS["epochs"])


def test_models_that_read_nothing_more_get_nothing_more(train):
    assert all(not batch.fields for batch in train(CategoryMean).batches)


@pytest.mark.parametrize("train_targets", ["all", "cut"])
@pytest.mark.parametrize("model", [RecentInterests, UserMean])
def test_fields_are_put_together_on_the_device_without_waiting(data, model, train_targets):
    """Tensors of the device "meta" have no values, so that asking for one fails."""
    config = Config(model, "toy", config_dict=data.settings(model, train_targets=train_targets))
    dataset = create_dataset(config)
    config["device"] = torch.device("meta")
    for batch in create_loaders(config, dataset)[0]:
        (field,) = batch.fields.values()
        assert field.device.type == "meta"
        assert len(field) == len(batch.items if model.reads_times else batch.packing.lengths)


@pytest.mark.parametrize("model", TOYS)
def test_padded_rows_become_batches_with_the_same_fields(data, model):
    config = Config(model, "toy", config_dict=data.settings(model))
    loader, *_ = create_loaders(config, create_dataset(config))
    rows = loader.dataset[np.arange(len(loader.dataset))]
    batch = model(config, loader.dataset).training_batch(rows)
    tokens = loader.dataset.field2id_token
    users = tokens["user_id"][rows["user_id"]]
    sequences = tokens["item_id"][batch.items], batch.fields.get("times", batch.items)
    sequences = zip(*(np.split(np.asarray(part), batch.packing.lengths.cumsum(0)[:-1]) for part in sequences))
    count = Counter()
    for user, (items, times) in zip(users, sequences):
        count[user] += 1
        span = slice(max(0, count[user] - LENGTH), count[user])
        assert items.tolist() == data.items[user][span]
        if model.reads_times:
            assert times.tolist() == data.times[user][span]
    if model.reads_users:
        assert torch.equal(batch.fields["users"], rows["user_id"])
    assert sum(count.values()) == sum(len(items) - 3 for items in data.items.values())


# Evaluation and use --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", TOYS)
def test_metrics_are_those_of_a_ranking_by_hand(train, data, model):
    trained = train(model)
    for end, part in [(2, "best_valid_result"), (1, "test_result")]:
        ids = trained.load().catalog.ids
        ranks = []
        for user, scores in brute_force_scores(trained, data, end).items():
            target = ids([data.items[user][-end]])
            scores[[0, *ids(data.items[user][:-end])]] = -np.inf
            ranked = np.isfinite(scores[target])  # unless the user had it before
            ranks.append(int((scores > scores[target]).sum()) + 1 if ranked else np.inf)
        gains = [1 / np.log2(1 + rank) if rank <= TOP else 0 for rank in ranks]
        assert trained.result[part][f"ndcg@{TOP}"] == pytest.approx(np.mean(gains), abs=1e-4)
        assert trained.result[part][f"recall@{TOP}"] == pytest.approx(np.mean(np.array(gains) > 0), abs=1e-4)
        assert 0 < np.mean(gains) < 1


@pytest.mark.parametrize("model", TOYS)
def test_a_checkpoint_alone_recommends_with_the_scores_of_evaluation(train, data, model, tmp_path, monkeypatch):
    trained = train(model)
    monkeypatch.chdir(tmp_path)
    parts = build_run(Config(model, "toy", config_dict=data.settings(model)))
    parts.trainer.load_model(trained.checkpoint)
    ((rows, *_),) = list(parts.test_data)
    with torch.no_grad():
        expected = rank_catalog(parts.model.eval(), rows, NUM_ITEMS + 1, NUM_ITEMS, None, None)
    users = parts.dataset.field2id_token["user_id"][rows["user_id"]].tolist()
    monkeypatch.setattr("recbole_sigma.data.ordered_dataset.OrderedDataset._load_data", None)  # no file is read
    histories, times = ([own[user][:-1] for user in users] for own in (data.items, data.times))
    found = trained.load().recommend(histories, NUM_ITEMS, users=users, times=times, keep_seen=True)
    assert [one.scores for one in found] == expected.scores.tolist()
    by_hand = brute_force_scores(trained, data, 1)
    for user, one in zip(users, found):
        assert one.scores == pytest.approx(by_hand[user][trained.load().catalog.ids(one.items)], rel=1e-4, abs=1e-5)


def test_users_that_the_model_was_not_trained_on_have_the_id_0(train):
    rec = train(UserMean).load()
    unknown, nobody, known = (rec.recommend([["i1"]], users=users)[0] for users in (["new"], None, ["u3"]))
    assert unknown == nobody != known
    assert rec.reads_user_id and not train(CategoryMean).load().reads_user_id


@pytest.mark.parametrize("form", ["numbers", "dates"])
def test_a_file_gives_what_its_histories_and_times_give(timed, data, form, capsys):
    as_given = float if form == "numbers" else lambda time: datetime.fromtimestamp(time, timezone.utc).isoformat()
    items = {user: [*own, "new"] for user, own in data.items.items()}
    times = {user: [as_given(time) for time in [*own, own[-1] + 1]] for user, own in data.times.items()}
    rows = [(user, *pair) for user in items for pair in zip(items[user], times[user])]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "when"]).sample(frac=1, random_state=0)
    frame.to_csv("rows.csv", index=False)
    words = [f"--checkpoint={timed.path}", "--device=cpu", "-k=4"]
    assert main(["recommend", *words, "--input=rows.csv", "--time=when", "--output=recs.csv"]) == 0
    table = pd.read_csv("recs.csv")
    expected = timed.recommend(list(items.values()), 4, times=list(times.values()))
    for user, one in zip(items, expected):
        own = table[table["user_id"] == user]
        assert own["item_id"].tolist() == one.items and one.unknown == 1
        assert own["score"].tolist() == pytest.approx(one.scores, rel=1e-5)
    capsys.readouterr()
    history = ["--history", " ".join(items["u1"]), "--times", *map(str, times["u1"])]
    assert main(["recommend", *words, *history]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in printed] == expected[list(items).index("u1")].items


@pytest.mark.parametrize(
    "given, message",
    [
        (
            ["recommend", "--history=i1 i2"],
            "RecentInterests reads the time of each item; expected times: a column of --input",
        ),
        (
            ["recommend", "--input=rows.csv", "--time="],
            "RecentInterests reads the time of each item; expected times: a column",
        ),
        (
            ["explain", "--history=i1 i2"],
            "expected times: a column of --input that --time names, --times beside --history",
        ),
        (
            ["recommend", "--history=i1 i2", "--times=5"],
            "history 0 has 2 items and 1 time; expected a time for each item",
        ),
        (
            ["recommend", "--history=i1 i2", "--times=7 5"],
            "the times of history 0 are not in order; expected the oldest",
        ),
        (
            ["recommend", "--history=i1 i2", "--times=5 2026-01-31"],
            "times has '2026-01-31'; expected numbers, or dates",
        ),
        (["recommend", "--input=rows.csv", "--times=5"], "--times goes with --history; --time names the column"),
        (["explain", "--times=5"], "--times goes with --history"),
    ],
)
def test_times_that_are_missing_or_do_not_fit_end_the_command_with_2(timed, given, message, capsys):
    Path("rows.csv").write_text("user_id,item_id,timestamp\na,i1,1\n")
    assert main([given[0], f"--checkpoint={timed.path}", *given[1:]]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "times, message",
    [
        (None, "expected times"),
        ([1], "the times of history 0 are 1; expected a list"),
        (["12"], "the times of history 0 are '12'; expected a list"),
        ([[1, None]], "history 0 has the time None; expected a number, or a date as a string"),
        ([[1, float("nan")]], "times has nan"),
    ],
)
def test_times_that_do_not_fit_are_refused(timed, times, message):
    for ask in (timed.recommend, timed.recall):
        with pytest.raises(RequestError, match=message):
            ask([["i1", "i2"]], times=times)
    for ask in (timed.interests, timed.explain):
        with pytest.raises(RequestError):
            ask(["i1", "i2"], times=times and times[0])


def test_as_many_lists_of_times_as_histories_are_expected(timed):
    with pytest.raises(RequestError, match="there are 2 lists of times and 1 histories"):
        timed.recommend([["i1"]], times=[[1], [3]])


def test_without_items_there_need_be_no_times(timed):
    (one,) = timed.recommend([[]], times=[[]])
    assert one.by_popularity


def test_an_index_finds_what_the_exact_search_finds(timed, data):
    assert timed.index(probes=1000).recall(list(data.items.values()), 5, times=list(data.times.values())) == 1


def test_interests_of_a_model_that_reads_times_follow_their_definition(timed, data):
    for user in ("u0", "u7"):
        history, times = data.items[user], data.times[user]
        age = times[-1] - np.array(times[-LENGTH:])
        weights = np.stack([np.exp(-age / scale) for scale in SCALES], 1)
        weights /= weights.sum(0)
        vectors = RecentInterests.defined(
            timed.state["state_dict"], timed.catalog.ids(history[-LENGTH:]), times[-LENGTH:], 0, None
        )
        scores = vectors @ timed.model.item_vectors[1:].detach().double().numpy().T
        found = timed.interests(history, NUM_ITEMS, times=times)
        assert {interest.category for interest in found} == set(weights.argmax(1))
        unseen = [item for item, token in enumerate(timed.catalog.tokens[1:]) if token not in history]
        for interest in found:
            number = interest.category
            assert interest.intensity == pytest.approx(0.5) and interest.spread is None
            assert interest.items == [item for item, row in zip(history[-LENGTH:], weights) if row.argmax() == number]
            ranked = sorted(unseen, key=lambda item: -scores[number][item])
            assert interest.nearest == timed.catalog.tokens[1:][ranked].tolist()
        explained = timed.explain(history, 4, times=times)
        assert explained.recommendation == timed.recommend([history], 4, times=[times])[0]
        best = timed.catalog.ids(explained.recommendation.items) - 1
        assert explained.closest_interest == scores[:, best].argmax(0).tolist()


def test_without_an_item_the_others_keep_their_times_and_the_user_stays(train, data):
    """The reasons, against scores from the parameters, one shortened history after the other."""
    for model in (RecentInterests, UserMean):
        rec = train(model).load()
        state, users = rec.state["state_dict"], rec.state["metadata"]["tokens"]["user_id"].tolist()
        vectors = model.item_vectors_defined(state, None)
        for user in ("u0", "u7"):
            history, times = data.items[user], data.times[user]
            seen = rec.catalog.ids(history)

            def log_probabilities(kept, user=user, history=history, times=times, seen=seen):
                ids, own = seen[kept][-LENGTH:], [times[place] for place in kept][-LENGTH:]
                scores = (vectors @ model.defined(state, ids, own, users.index(user), None).T).max(1)
                ranked = np.delete(scores, [0, *seen])
                return scores - np.log(np.exp(ranked - ranked.max()).sum()) - ranked.max()

            everyone = list(range(len(history)))
            recommended = rec.explain(history, 4, user=user, times=times).recommendation.items
            items = rec.catalog.ids(recommended)
            (effects,) = rec.leave_out.effects(
                rec._histories([history], [user], [times]), torch.from_numpy(items).unsqueeze(0)
            )
            assert sorted(effects.items) == sorted(set(seen[-LENGTH:]))
            for own, falls in zip(effects.items, effects.falls):
                kept = [place for place in everyone if seen[place] != own]
                expected = log_probabilities(everyone)[items] - log_probabilities(kept)[items]
                assert falls == pytest.approx(expected, abs=1e-5)


def test_explain_prints_interests_after_a_history_with_times(timed, data, capsys):
    history, times = data.items["u1"], data.times["u1"]
    words = ["--history", *history, "--times", *map(str, times), "-k=3", "--nearest=2"]
    assert main(["explain", f"--checkpoint={timed.path}", *words]) == 0
    out = capsys.readouterr().out
    for interest in timed.interests(history, 2, times=times):
        assert f"interest {interest.category}   50.0%  ##########\n" in out
        assert f"recommended:    {'; '.join(interest.nearest)}" in out


def test_the_report_reads_the_rows_with_their_times(train, data):
    trained = train(RecentInterests)
    held_out = rank_test_rows(trained.load(), open_test_rows(trained.load(), data.path))
    assert held_out.recall(TOP).mean() == pytest.approx(trained.result["test_result"][f"recall@{TOP}"], abs=1e-4)
    np.testing.assert_allclose(held_out.intensity, 0.5, rtol=1e-5)


@pytest.mark.parametrize("format", ["onnx", "torch"])
@pytest.mark.parametrize("model, reads", [(RecentInterests, "times"), (UserMean, "users")])
def test_models_that_read_more_than_items_are_no_programs(train, model, reads, format, tmp_path, monkeypatch):
    monkeypatch.setattr(model, "user_vectors", None)  # it is not run to find out
    with pytest.raises(
        RequestError, match=f"{model.__name__} cannot be exported as {format}: it reads {reads} .*safetensors"
    ):
        export_checkpoint(train(model).checkpoint, format, tmp_path / "out", model_class=model)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("model", TOYS)
def test_weights_are_exported_and_recommend_the_same(train, data, model, tmp_path, monkeypatch, capsys):
    trained = train(model)
    export_checkpoint(trained.checkpoint, "safetensors", tmp_path / "out", model_class=model)
    asked = {"users": list(data.items), "times": list(data.times.values())}
    rec = load_weights(tmp_path / "out", "cpu", model)
    assert rec.recommend(list(data.items.values()), **asked) == trained.load().recommend(
        list(data.items.values()), **asked
    )
    monkeypatch.chdir(tmp_path / "out")
    (program,) = re.findall("```python\n(.*?)```", Path("README.md").read_text(), re.S)
    exec(program, {model.__name__: model})
    (one,) = rec.recommend([rec.catalog.tokens[1:4]], times=[[1, 2, 3]])
    assert capsys.readouterr().out == f"{one.items} {one.scores}\n"


# Resuming and what does not fit --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", TOYS)
def test_a_run_with_random_cuts_is_resumed_to_the_bit(data, model, tmp_path):
    settings = data.settings(model, train_targets="cut", min_history=2, epochs=3)
    finish(start(tmp_path / "whole", model, settings), tmp_path / "whole")
    for moment, save_seconds in [("in a later epoch", None), ("in the first epoch", 0)]:
        folder = tmp_path / str(save_seconds)
        start(folder, model, settings, moment, save_seconds).join()
        assert not (folder / "result.json").exists()
        finish(start(folder, model, {**settings, "resume": True}), folder)
        assert not differences(outcome(tmp_path / "whole"), outcome(folder))


@pytest.fixture
def copy_of_data(data, tmp_path):
    shutil.copytree(data.path, tmp_path / "copy")
    return tmp_path / "copy" / "toy", {"data_path": str(tmp_path / "copy")}


@pytest.mark.parametrize("file, model", [("toy.inter", RecentInterests), ("toy.item", CategoryMean)])
def test_other_times_or_categories_are_other_data(data, copy_of_data, train, file, model, tmp_path, monkeypatch):
    """For a run that is resumed, and for a checkpoint that is evaluated if its model needs the categories."""
    monkeypatch.chdir(tmp_path)
    folder, path = copy_of_data

    def fingerprint():
        config = Config(model, "toy", config_dict={**data.settings(model), **path})
        dataset = create_dataset(config)
        dataset.build()
        return data_fingerprint(dataset)

    before, text = fingerprint(), (folder / file).read_text()
    changes = {"toy.inter": (".0625\n", ".0626\n"), "toy.item": ("\ta", "\tb")}  # too little for float32
    (folder / file).write_text(text.replace(*changes[file], 1))
    assert fingerprint() != before
    (folder / file).write_text(text)
    assert fingerprint() == before
    (folder / file).write_text(text.replace(*changes[file], 1))
    if model is CategoryMean:
        settings = {**data.settings(model), **path, "checkpoint": train(model).checkpoint}
        with pytest.raises(CheckpointError, match="trained on another catalog"):
            run_recbole_sigma(model, "toy", config_dict=settings)


@pytest.mark.parametrize(
    "settings, error, message",
    [
        (
            {"category_field": None},
            ConfigError,
            "CategoryMean takes the categories of items from a column .*--category_field",
        ),
        ({"category_field": "gnere"}, DataError, "has no column 'gnere'; CategoryMean takes .*did you mean genre"),
        (
            {"metrics": ["Recall", "Diversity"], "category_field": "x"},
            DataError,
            "Diversity and CategoryMean take the cat",
        ),
    ],
)
def test_categories_that_are_missing_are_asked_for_by_the_model(data, settings, error, message):
    with pytest.raises(error, match=message):
        create_dataset(Config(CategoryMean, "toy", config_dict={**data.settings(CategoryMean), **settings}))


def test_without_a_file_of_items_the_model_cannot_do(data, copy_of_data):
    folder, path = copy_of_data
    (folder / "toy.item").unlink()
    with pytest.raises(DataError, match="toy.item does not exist; CategoryMean takes the .*Put the file there$"):
        create_dataset(Config(CategoryMean, "toy", config_dict={**data.settings(CategoryMean), **path}))


@pytest.mark.parametrize(
    "model, settings, message",
    [
        (
            RecentInterests,
            {},
            "RecentInterests reads the time of each item, and benchmark_filename names files of rows",
        ),
        (UserMean, {"train_targets": "cut"}, "train_targets is 'cut', and benchmark_filename names files of rows"),
    ],
)
def test_rows_that_were_split_in_advance_have_no_times_and_no_cuts(data, copy_of_data, model, settings, message):
    folder, path = copy_of_data
    for part in ("train", "valid", "test"):
        lines = [f"u{user}\ti1 i2\ti{user}\t1 2\t3" for user in range(3)]
        columns = "user_id:token\titem_id_list:token_seq\titem_id:token\ttimestamp_list:float_seq\ttimestamp:float"
        (folder / f"toy.{part}.inter").write_text("\n".join([columns, *lines]) + "\n")
    rows = {
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id_list", "item_id", "timestamp_list", "timestamp"]},
        "alias_of_item_id": ["item_id_list"],
    }
    config = Config(model, "toy", config_dict={**data.settings(model), **path, **rows, **settings})
    with pytest.raises(ConfigError, match=message):
        create_loaders(config, create_dataset(config))


def test_a_model_that_needs_categories_says_so_in_the_pipeline_of_recbole():
    with pytest.raises(ConfigError, match="needs the categories of items; expected run_recbole_sigma"):
        CategoryMean({**RECBOLE, **SMALL}, Catalog(NUM_ITEMS))
