"""Diversity@K against equation (15) written out, from bit masks to a whole run on real data."""

import re
import sys
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import recbole
import recbole.config
import torch
from recbole.data import create_dataset as stock_dataset
from recbole.data import data_preparation
from recbole.trainer import Trainer
from recbole.utils import init_seed

from recbole_sigma import Config, run_recbole_sigma
from recbole_sigma.data import create_dataset, create_loaders
from recbole_sigma.errors import ConfigError, DataError
from recbole_sigma.evaluation import diversity as module
from recbole_sigma.evaluation.diversity import bit_masks, diversity
from recbole_sigma.model import SIGMA
from recbole_sigma.training.trainer import trainer_class
from tests.data.real import FOLDER, require
from tests.memory import measured, reads_proc

ML_100K = Path(recbole.__file__).parent / "dataset_example" / "ml-100k" / "ml-100k.item"
SMALL = {"hidden_size": 16, "inner_size": 16, "MAX_ITEM_LIST_LENGTH": 10}
BY_MODEL = {"SIGMA": SMALL, "SASRec": SMALL, "S3Rec": SMALL}
ASKED = {"metrics": ["Recall", "Diversity"], "topk": [1, 2, 5, 20], "metric_decimal_place": 12}


def definition(lists, categories, k):
    """Equation (15): the mean over users with a pair of the share of pairs without a common category; 0 for no pair.

    An empty place of a list has the item 0 or the token of the padding.
    """
    shares = []
    for items in lists:
        items = [item for item in items[:k] if item not in (0, "[PAD]")]
        pairs = list(combinations(items, 2))
        if pairs:
            shares.append(sum(not categories[one] & categories[other] for one, other in pairs) / len(pairs))
    return sum(shares) / len(shares) if shares else 0


def masks_of(categories):
    pairs = [(item, category) for item, own in enumerate(categories) for category in own]
    item, category = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return bit_masks(item, category, len(categories))


def random_categories(generator, num_items, num_categories):
    """Of each item from none to four; the last category is there always."""
    categories = [
        set(generator.choice(num_categories, min(num_categories, generator.integers(5)), replace=False).tolist())
        for _ in range(num_items)
    ]
    return [*categories, {num_categories - 1}]


# The function


@pytest.mark.parametrize("num_categories", [1, 3, 63, 64, 65, 128, 300])
def test_it_is_the_definition_for_every_length_of_the_list(num_categories):
    generator = np.random.default_rng(num_categories)
    categories = random_categories(generator, 60, num_categories)
    lists = np.stack([generator.permutation(60)[:12] + 1 for _ in range(30)])
    values = diversity(torch.from_numpy(lists), masks_of(categories)).tolist()
    assert len(values) == 12
    assert values == pytest.approx([definition(lists, categories, k) for k in range(1, 13)], abs=1e-12)


def test_a_list_by_hand():
    """Action, action and comedy, comedy, and nothing: two of six pairs share a genre, of the first three items two."""
    categories = masks_of([set(), {0}, {0, 1}, {1}, set()])
    assert diversity(torch.tensor([[1, 2, 3, 4]]), categories).tolist() == pytest.approx([0, 0, 1 / 3, 4 / 6])
    assert diversity(torch.tensor([[1, 3, 2, 4]]), categories).tolist() == pytest.approx([0, 1, 1 / 3, 4 / 6])
    two_users = torch.tensor([[1, 2], [1, 3]])
    assert diversity(two_users, categories).tolist() == [0, 0.5]


def test_empty_places_make_no_pairs():
    """Of three lists one has three items, with one pair in three that differs, one has two that differ, one has one."""
    categories = masks_of([set(), {0}, {0, 1}, {1}])
    lists = torch.tensor([[1, 2, 3], [1, 3, 0], [2, 0, 0]])
    assert diversity(lists, categories).tolist() == pytest.approx([0, (0 + 1) / 2, (1 / 3 + 1) / 2])
    assert diversity(torch.zeros(2, 3, dtype=torch.int64), categories).tolist() == [0, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_definition_for_lists_with_empty_places(seed):
    generator = np.random.default_rng(seed)
    categories = random_categories(generator, 60, 9)
    lists = np.stack([generator.permutation(60)[:12] + 1 for _ in range(30)])
    lists[np.arange(12) >= generator.integers(0, 13, (30, 1))] = 0
    values = diversity(torch.from_numpy(lists), masks_of(categories)).tolist()
    assert values == pytest.approx([definition(lists, categories, k) for k in range(1, 13)], abs=1e-12)


def test_one_item_has_no_pair_and_no_diversity():
    assert diversity(torch.tensor([[1], [2]]), masks_of([set(), {0}, set()])).tolist() == [0]


def test_items_without_category_share_none_not_even_with_themselves():
    assert diversity(torch.tensor([[1, 2, 3]]), masks_of([set()] * 4)).tolist() == [0, 1, 1]


def test_categories_share_a_word_but_not_a_bit():
    masks = masks_of([{category} for category in range(130)])
    assert masks.shape == (130, 3)
    assert diversity(torch.arange(1, 130).unsqueeze(0), masks).tolist() == [0, *[1] * 128]


def test_two_common_categories_are_as_good_as_one():
    """Also where they are bits of different words."""
    assert diversity(torch.tensor([[1, 2]]), masks_of([set(), {0, 100}, {0, 100}])).tolist() == [0, 0]


def test_the_order_inside_a_list_does_not_matter_at_its_end():
    generator = np.random.default_rng(0)
    masks = masks_of(random_categories(generator, 40, 70))
    lists = np.stack([generator.permutation(40)[:10] + 1 for _ in range(20)])
    values = diversity(torch.from_numpy(lists), masks)
    shuffled = diversity(torch.from_numpy(generator.permuted(lists, axis=1)), masks)
    assert values[-1] == shuffled[-1] and not torch.equal(values, shuffled)


def test_few_rows_at_a_time_give_the_same(monkeypatch):
    generator = np.random.default_rng(1)
    masks = masks_of(random_categories(generator, 40, 70))
    items = torch.from_numpy(np.stack([generator.permutation(40)[:10] + 1 for _ in range(33)]))
    whole = diversity(items, masks)
    for pairs in (1, 250, 2_000):
        monkeypatch.setattr(module, "PAIRS_AT_ONCE", pairs)
        torch.testing.assert_close(diversity(items, masks), whole, rtol=1e-14, atol=0)  # sums are rounded in parts


def test_a_category_that_is_named_twice_counts_once():
    once, twice = (bit_masks(np.array([1] * n), np.array([63] * n), 2) for n in (1, 2))
    assert torch.equal(once, twice) and once[0] == 0 and once[1] != 0


MEASURE = """
import sys

import torch

from recbole_sigma.evaluation.diversity import diversity


def run(num_rows, k):
    items = torch.arange(num_rows * k).view(num_rows, k) % 3000
    categories = torch.ones(3000, 2, dtype=torch.int64)
    before = resident("VmRSS")
    diversity(items, categories)
    return resident("VmHWM") - before


torch.set_num_threads(1)
run(10, 40)
print(run(*map(int, sys.argv[1:])))
"""


@reads_proc
def test_memory_does_not_grow_with_the_rows():
    """The pairs of 100,000 lists of 40 are 160 million, of 8 bytes each."""
    assert measured(MEASURE, 100_000, 40) < 10 * module.PAIRS_AT_ONCE * 8 < 100_000 * 40 * 40 * 8 / 20


@pytest.mark.parametrize(
    "items, categories, message",
    [
        (torch.zeros(3), torch.zeros(4, 1), r"items \[3\], categories \[4, 1\]; expected items \[B, k\]"),
        (torch.zeros(3, 2), torch.zeros(4), r"categories \[4\]; expected .* categories \[V, W\]"),
        (torch.zeros(0, 2), torch.zeros(4, 1), "at least one"),
        (torch.zeros(3, 2), torch.zeros(4, 1, dtype=torch.bool), "torch.bool; expected the int64 of bit_masks"),
    ],
)
def test_arguments_that_do_not_fit_raise_an_error(items, categories, message):
    with pytest.raises(ValueError, match=message):
        diversity(items.long(), categories)


# The data


@pytest.fixture
def folder(toy_path, tmp_path, monkeypatch):
    """A copy of the data set ``toy`` to which an ``.item`` file is to be added."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toy.inter").write_bytes((toy_path / "toy" / "toy.inter").read_bytes())
    return tmp_path


def write_items(folder, header, rows):
    lines = ["\t".join(row) for row in [header, *rows]]
    (folder / "toy" / "toy.item").write_text("\n".join(lines) + "\n")


def toy(folder, model="SASRec", **settings):
    given = {"data_path": str(folder), **BY_MODEL.get(model, {}), **ASKED, "category_field": "genre", **settings}
    config = Config(model, "toy", config_dict={"valid_metric": "Diversity@5", **given})
    return config, create_dataset(config)


def sets_by_token(dataset):
    found = {}
    for item, category in zip(*dataset.item_categories):
        found.setdefault(str(dataset.id2token("item_id", item)), set()).add(int(category))
    return found


@pytest.mark.parametrize("settings", [{}, {"item_inter_num_interval": "[12,inf)"}], ids=["all", "filtered"])
@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_categories_go_by_the_ids_of_the_items_that_are_left(folder, model, settings):
    rows = [(f"i{item}", ["", "a", "b a", "c"][item % 4]) for item in reversed(range(50))]
    write_items(folder, ("item_id:token", "genre:token_seq"), [*rows, ("i1", "c")])
    _, dataset = toy(folder, model, **settings)
    catalog = set(dataset.field2id_token["item_id"][1:])
    assert catalog <= {f"i{item}" for item in range(40)} and (len(catalog) < 40) == bool(settings)
    found = sets_by_token(dataset)
    expected = {item: set(genres.split()) for item, genres in rows if item in catalog and genres}
    assert found.keys() == expected.keys()
    for one, other in combinations(expected, 2):
        assert bool(found[one] & found[other]) == bool(expected[one] & expected[other])


def test_a_token_column_holds_one_category_whatever_its_spaces(folder):
    rows = [("i1", "Sci Fi"), ("i2", "Sci Fi"), ("i3", "Sci Co"), ("i4", "")]
    write_items(folder, ("item_id:token", "genre:token"), rows)
    found = sets_by_token(toy(folder)[1])
    assert found.keys() == {"i1", "i2", "i3"}
    assert found["i1"] == found["i2"] != found["i3"]


def test_separators_are_those_of_the_settings(folder):
    (folder / "toy" / "toy.item").write_text("item_id:token,genre:token_seq\ni1,Sci Fi|Drama\ni2,Drama\n")
    inter = folder / "toy" / "toy.inter"
    inter.write_text(inter.read_text().replace("\t", ","))
    found = sets_by_token(toy(folder, field_separator=",", seq_separator="|")[1])
    assert len(found["i1"]) == 2 and found["i2"] < found["i1"]


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_the_data_stay_as_they_are_without_it(folder, model):
    """Although the file lacks items of the interactions and has others."""
    write_items(folder, ("item_id:token", "genre:token_seq"), [("i1", "a"), ("i2", "b"), ("new", "a")])
    _, with_it = toy(folder, model)
    _, without = toy(folder, model, metrics=["Recall"], valid_metric="Recall@5")
    assert not hasattr(without, "item_categories")
    assert with_it.item_feat is None and with_it.field2type == without.field2type
    assert list(with_it.field2id_token["item_id"]) == list(without.field2id_token["item_id"])
    assert with_it.inter_feat.equals(without.inter_feat)


def test_the_file_is_not_read_without_it(folder):
    write_items(folder, ("broken",), [("file",)])
    toy(folder, metrics=["Recall"], valid_metric="Recall@5")
    with pytest.raises(DataError, match="column 'broken'; expected name:type"):
        toy(folder)


def test_a_model_that_loads_the_column_for_itself_keeps_it():
    settings = {**ASKED, **SMALL, "valid_metric": "Recall@5", "train_stage": "pretrain"}
    dataset = create_dataset(Config("S3Rec", "ml-100k", config_dict=settings))
    number = np.bincount(dataset.item_categories.item, minlength=dataset.item_num)
    assert number.tolist() == [len(own) for own in dataset.item_feat["class"]] and number.sum() > 1682


@pytest.mark.parametrize(
    "header, rows, parts",
    [
        (None, [], ["toy.item does not exist", "'genre' (category_field)", "leave Diversity out of metrics"]),
        (("item_id:token", "genres:token_seq"), [("i1", "a")], ["no column 'genre'", "genres", "did you mean genres?"]),
        (("movie:token", "genre:token_seq"), [("i1", "a")], ["no column 'item_id'", "movie"]),
        (
            ("item_id:token", "genre:float"),
            [("i1", "1")],
            ["genre is of the type float", "expected token or token_seq"],
        ),
        (("item_id:token", "genre:token_seq"), [("1", "a")], ["none of the items of 'toy' has a category in 'genre'"]),
        (("item_id:token", "genre:token_seq"), [("i1", "")], ["none of the items of 'toy' has a category in 'genre'"]),
        (("item_id:token", "genre:token_seq"), [("i1", "a", "b")], ["line 2: 3 columns; expected 2"]),
    ],
)
def test_files_without_categories_raise_an_error(folder, header, rows, parts):
    if header:
        write_items(folder, header, rows)
    with pytest.raises(DataError, match="(?s)" + ".*".join(map(re.escape, parts))):
        toy(folder)


# The settings


@pytest.mark.parametrize("metrics", ["Diversity", ["Recall", "diversity"]])
def test_diversity_needs_a_category_field(metrics):
    settings = {"metrics": metrics, "valid_metric": "Diversity@20"}
    with pytest.raises(ConfigError, match="category_field is not set; expected the column of the .item file"):
        Config("SASRec", "some", config_dict=settings)
    config = Config("SASRec", "some", config_dict={**settings, "category_field": "genre"})
    assert config["valid_metric_bigger"] is True


@pytest.mark.parametrize(
    "settings, parts",
    [
        ({"metrics": ["Diversty"]}, "metrics has 'Diversty'; expected some of .*did you mean Diversity"),
        ({"category_fields": "genre"}, "category_fields .* is not known; did you mean category_field"),
        ({"category_field": 3}, "category_field is 3; expected the name of a column or nothing"),
        ({"category_field": ""}, "category_field is ''; expected the name of a column or nothing"),
        ({"category_field": ["genre"]}, r"category_field is \['genre'\]; expected the name of a column or nothing"),
    ],
    ids=str,
)
def test_invalid_settings_raise_an_error(settings, parts):
    with pytest.raises(ConfigError, match=parts):
        Config("SASRec", "some", config_dict=settings)


def test_movielens_knows_its_column():
    assert [Config("Pop", name)["category_field"] for name in ("ml-100k", "ml-1m", "some")] == ["class", "genre", None]


def test_ml_1m_has_18_genres(tmp_path, monkeypatch):
    require("ml-1m")
    monkeypatch.chdir(tmp_path)
    dataset = create_dataset(
        Config("Pop", "ml-1m", config_dict={"data_path": FOLDER, **ASKED, "valid_metric": "Recall@5"})
    )
    found = sets_by_token(dataset)
    assert len(set().union(*found.values())) == 18
    assert len(found["1"] & found["13"]) == 2  # Toy Story and Balto: Animation, Children's


# Whole runs


def lists_of(model_name, dataset, state, settings):
    """What a model recommends for the test, from all its scores at once."""
    config = Config(model_name, dataset, config_dict=settings)
    init_seed(config["seed"], True)
    train, _, test = create_loaders(config, create_dataset(config))
    model = config.model_class(config, train.dataset)
    model.load_state_dict(state)
    model.eval()
    lists = []
    for interaction, seen, *_ in test:
        with torch.no_grad():
            scores = model.full_sort_predict(interaction).view(-1, train.dataset.item_num).clone()
        scores[:, 0] = -torch.inf
        if seen is not None:
            scores[seen] = -torch.inf
        lists += train.dataset.id2token("item_id", scores.argsort(1, descending=True)[:, :20]).tolist()
    return lists


def assert_run_reports_the_definition(model, dataset, genres, num_users, **settings):
    settings = {**BY_MODEL.get(model, {}), **ASKED, "epochs": 1, "valid_metric": "Diversity@5", **settings}
    result = run_recbole_sigma(model, dataset, config_dict=settings)
    lists = lists_of(model, dataset, torch.load(result["checkpoint"], weights_only=True)["state_dict"], settings)
    assert len(lists) == num_users
    found = {key: value for key, value in result["test_result"].items() if key.startswith("diversity")}
    assert found == pytest.approx({f"diversity@{k}": definition(lists, genres, k) for k in ASKED["topk"]}, abs=1e-9)
    assert 0 < found["diversity@20"] < 1 and result["best_valid_score"] == result["best_valid_result"]["diversity@5"]


@pytest.mark.parametrize("model", ["SIGMA", "SASRec"])
def test_a_run_reports_the_definition_on_what_a_sequential_model_recommends(folder, model):
    rows = [(f"i{item}", ["a", "a b", "c", ""][item % 4]) for item in range(40)]
    write_items(folder, ("item_id:token", "genre:token_seq"), rows)
    genres = {item: set(genre.split()) for item, genre in rows}
    assert_run_reports_the_definition(model, "toy", genres, 60, data_path=str(folder), category_field="genre")


def test_a_run_on_ml_100k_reports_the_definition_on_what_the_model_recommends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [line.split("\t") for line in ML_100K.read_text().splitlines()[1:]]
    genres = {item: set(classes.split()) for item, _, _, classes in rows}
    assert_run_reports_the_definition("BPR", "ml-100k", genres, 938)


@pytest.mark.parametrize(
    "model, settings",
    [
        ("Pop", {}),
        ("NeuMF", {}),
        ("SIGMA", {"metrics": ["Diversity", "GAUC"]}),
        ("BPR", {"eval_args": {"mode": "uni30"}}),
        ("SASRec", {"metrics": "Diversity"}),
    ],
    ids=["stock", "pairs", "scores", "sampled", "alone"],
)
def test_every_way_of_ranking_has_it(folder, model, settings):
    rows = [(f"i{item}", f"g{item % 3}") for item in range(40)]
    write_items(folder, ("item_id:token", "genre:token"), rows)
    config, dataset = toy(
        folder, model, topk=[2, 40] if model == "Pop" else [2, 5], valid_metric="Diversity@2", **settings
    )
    train, _, test = create_loaders(config, dataset)
    network = config.model_class(config, train.dataset)
    network.calculate_loss(next(iter(train)))  # Pop counts here
    trainer = trainer_class(config)(config, network)
    trainer.eval_collector.data_collect(train)
    collected = []
    evaluate = trainer.evaluator.evaluate
    trainer.evaluator = SimpleNamespace(evaluate=lambda data: collected.append(data.get("rec.items")) or evaluate(data))
    result = trainer.evaluate(test, load_best_model=False)
    lists = dataset.id2token("item_id", collected[0])
    categories = {"[PAD]": set(), **{item: {genre} for item, genre in rows}}
    for k in config["topk"]:
        assert result[f"diversity@{k}"] == pytest.approx(definition(lists, categories, k), abs=1e-9)


def test_recboles_own_trainer_says_what_it_lacks(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program"])
    settings = {**SMALL, **ASKED, "data_path": str(folder), "valid_metric": "Recall@5", "train_neg_sample_args": None}
    settings["load_col"] = {"inter": ["user_id", "item_id", "timestamp"]}
    config = recbole.config.Config(model=SIGMA, dataset="toy", config_dict=settings)
    train, _, test = data_preparation(config, stock_dataset(config))
    trainer = Trainer(config, SIGMA(config, train.dataset))
    with pytest.raises(ConfigError, match="Diversity needs .* expected run_recbole_sigma"):
        trainer.evaluate(test, load_best_model=False)
