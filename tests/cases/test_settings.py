"""Settings with keys of their own, and negatives that cannot be drawn, are checked before training."""

import random

import pytest

from recbole_sigma import run_recbole_sigma
from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders
from recbole_sigma.errors import RecBoleSigmaError
from tests.cases.made_up import HEADER, base, write_atomic

RATED = (*HEADER, "rating:float")
LOAD = {"load_col": {"inter": ["user_id", "item_id", "timestamp", "rating"]}}


@pytest.fixture(scope="module")
def data_path(tmp_path_factory):
    return write_atomic(tmp_path_factory.mktemp("data"), base())


@pytest.fixture(scope="module")
def with_everything(tmp_path_factory):
    """``base`` and a user who has had each of the 40 items."""
    rows = base() + [("everything", f"i{item}", 1_600_000_000 + item) for item in range(40)]
    return write_atomic(tmp_path_factory.mktemp("everything"), rows)


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """``base`` with ratings of 1 to 5."""
    draw = random.Random(2)
    rows = [(*row, draw.randint(1, 5)) for row in base()]
    return write_atomic(tmp_path_factory.mktemp("rated"), rows, RATED)


def loaders(model, data_path, **settings):
    config = Config(model, "d", config_dict={"data_path": str(data_path), "state": "ERROR", **settings})
    return create_loaders(config, create_dataset(config))


def refusal(function, *arguments, parts, **settings):
    with pytest.raises(RecBoleSigmaError) as error:
        function(*arguments, **settings)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    "model, settings",
    [
        ("SASRecAP", {"eval_args": {"mode": "uni20"}}),
        ("SASRecAP", {"eval_args": {"mode": "pop20"}}),
        ("SASRecAP", {"eval_args": {"mode": {"valid": "full", "test": "uni20"}}}),
        ("SASRec", {"eval_args": {"mode": "uni20"}}),
        ("BERT4Rec", {}),
    ],
    ids=str,
)
def test_case_05_a_user_without_a_negative_is_named(model, settings, with_everything):
    parts = ["user 'everything'", "every item (40)", "user_inter_num_interval", "[0,39]"]
    if "eval_args" in settings:
        parts.append("mode: full")
    refusal(loaders, model, with_everything, parts=parts, **settings)


@pytest.mark.parametrize("settings", [{}, {"train_neg_sample_args": {"dynamic": True, "candidate_num": 3}}], ids=str)
def test_case_05_a_user_who_is_trained_on_every_item_is_named(settings, tmp_path):
    """Two repeats are held out, so that the 40 items themselves are in the training data."""
    again = [("everything", item, 1_600_000_100 + place) for place, item in enumerate(("i0", "i1"))]
    rows = base() + [("everything", f"i{item}", 1_600_000_000 + item) for item in range(40)] + again
    parts = ["user 'everything'", "every item (40)", "user_inter_num_interval", "[0,39]"]
    refusal(loaders, "BPR", write_atomic(tmp_path, rows), parts=parts, **settings)
    loaders("Pop", tmp_path)


def test_case_05_users_who_are_not_sampled_are_no_reason(with_everything):
    loaders("SASRecAP", with_everything)
    loaders("SASRecAP", with_everything, eval_args={"mode": {"valid": "uni20", "test": "full"}})  # one item is left
    loaders("SASRecAP", with_everything, eval_args={"mode": "uni20"}, remove_seen=False)
    loaders("SASRecAP", with_everything, eval_args={"mode": "uni20"}, user_inter_num_interval="[0,39]")
    loaders("BPR", with_everything)  # two items are held out


def test_case_05_popularity_draws_only_items_of_the_training_data(tmp_path):
    """Everybody begins with ``first`` and ``a``; all other items are held out, and popularity never draws them."""
    ends = ["bc", "bc", "de"]
    rows = [(f"u{user}", item, time) for user, end in enumerate(ends) for time, item in enumerate(["first", "a", *end])]
    write_atomic(tmp_path, rows)
    settings = {"topk": 2, "valid_metric": "Recall@2"}
    parts = ["user 'u0' and 2 more have", "training data (2)", "uniN"]
    loaders("SASRecAP", tmp_path, eval_args={"mode": "uni2"}, **settings)
    refusal(loaders, "SASRecAP", tmp_path, parts=parts, eval_args={"mode": "pop2"}, **settings)
    by_popularity = {"train_neg_sample_args": {"distribution": "popularity"}}
    refusal(loaders, "BPR", tmp_path, parts=parts, **by_popularity, **settings)
    loaders("BPR", tmp_path, **settings)


def test_case_05_an_item_of_every_user_is_named_for_line(tmp_path):
    """No user of the data is without item ``all``, and it is never held out."""
    rows = base() + [(f"u{user}", "all", 1) for user in range(60)]
    write_atomic(tmp_path, rows)
    refusal(loaders, "LINE", tmp_path, parts=["'all'", "item_inter_num_interval", "[0,59]"])
    loaders("BPR", tmp_path)


def test_case_05_a_head_with_every_tail_is_named(tmp_path):
    write_atomic(tmp_path, base())
    entities = [f"e{number}" for number in range(40)]
    write_atomic(
        tmp_path,
        [(f"i{n}", name) for n, name in enumerate(entities)],
        ("item_id:token", "entity_id:token"),
        suffix="link",
    )
    header = ("head_id:token", "relation_id:token", "tail_id:token")
    triples = [("e0", "r", name) for name in entities[1:]] + [("e1", "r", "e2")]
    write_atomic(tmp_path, triples, header, suffix="kg")
    load = {"inter": ["user_id", "item_id", "timestamp"], "kg": [name.split(":")[0] for name in header]}
    load["link"] = ["item_id", "entity_id"]
    loaders("CKE", tmp_path, load_col=load)
    write_atomic(tmp_path, [*triples, ("e0", "r", "e0")], header, suffix="kg")
    refusal(loaders, "CKE", tmp_path, parts=["head 'e0'", "every entity (40)"], load_col=load)


def test_case_06_labels_are_counted_as_given(rated):
    """A row is liked from a rating of 4 on; in any mode but ``labeled`` RecBole takes every row as liked."""
    settings = {**LOAD, "threshold": {"rating": 4}}
    for mode in ("uni20", "pop20", {"valid": "labeled", "test": "uni20"}):
        refusal(
            loaders,
            "DeepFM",
            rated,
            parts=["the label 0", "mode: labeled", "val_interval"],
            eval_args={"mode": mode},
            **settings,
        )
    for model in ("BPR", "SASRecAP"):
        refusal(loaders, model, rated, parts=["'full'", "the label 0", "val_interval"], **settings)
    refusal(
        loaders, "DeepFM", rated, parts=["train_neg_sample_args", "the label 0"], train_neg_sample_args={}, **settings
    )
    refusal(
        loaders, "DeepFM", rated, parts=["'rating' (LABEL_FIELD)", "expected 0 and 1"], LABEL_FIELD="rating", **LOAD
    )
    rating = {(user, item): rating for user, item, _, rating in _rows(rated)}
    _, _, test = loaders("DeepFM", rated, **settings)
    data = test.dataset
    for user, item, label in zip(*(data.inter_feat[name].tolist() for name in ("user_id", "item_id", "label"))):
        assert label == (rating[data.id2token("user_id", user), data.id2token("item_id", item)] >= 4)
    loaders("BPR", rated, val_interval={"rating": "[4,inf)"}, threshold={"rating": 4}, **LOAD)


def _rows(folder):
    lines = (folder / "d" / "d.inter").read_text().splitlines()[1:]
    return [(user, item, time, float(rating)) for user, item, time, rating in (line.split("\t") for line in lines)]


@pytest.mark.parametrize(
    "settings, parts",
    [
        ({"train_neg_sample_args": {"uniform": 2}}, ["has 'uniform'", "distribution", "sample_num"]),
        ({"train_neg_sample_args": {"sample_nun": 2}}, ["has 'sample_nun'", "did you mean sample_num"]),
        ({"train_neg_sample_args": {"sample_num": 0}}, ["sample_num in train_neg_sample_args is 0", "at least 1"]),
        ({"train_neg_sample_args": {"distribution": "normal"}}, ["is 'normal'", "uniform, popularity"]),
        ({"train_neg_sample_args": {"alpha": "1"}}, ["alpha in train_neg_sample_args"]),
        ({"train_neg_sample_args": {"dynamic": True}}, ["candidate_num is 0"]),
        ({"training_neg_sample_num": 2}, ["training_neg_sample_num", "train_neg_sample_args"]),
        ({"valid_neg_sample_args": {"sample_num": 2}}, ["valid_neg_sample_args", "mode in eval_args"]),
        ({"eval_args": {"modes": "full"}}, ["eval_args has modes", "did you mean mode"]),
        ({"clip_grad_norm": {"max_nrm": 5}}, ["has 'max_nrm'", "did you mean max_norm"]),
        ({"clip_grad_norm": {"max_norm": "much"}}, ["max_norm in clip_grad_norm is 'much'"]),
        ({"clip_grad_norm": {"norm_type": 2}}, ["clip_grad_norm is", "max_norm"]),
        ({"threshold": {"rating": 4, "timestamp": 2}}, ["threshold is", "one column"]),
        ({"threshold": {"ratng": 4}}, ["ratng"]),
        ({"numerical_features": ["pric"]}, ["numerical_features has 'pric'"]),
        ({"normalize_field": ["pric"]}, ["pric"]),
        ({"discretization": {"pric": {"method": "LD"}}}, ["pric"]),
        ({"threshold": {"user_id": 4}}, ["user_id:token (threshold)", "expected user_id:float"]),
        ({"discretization": {"timestamp": {"method": "LD"}}}, ["discretization has 'timestamp'", "numerical_features"]),
        ({"preload_weight": {"pric": "vector"}}, ["preload_weight has 'pric'"]),
    ],
    ids=str,
)
def test_case_11_sub_keys_and_columns_that_are_not_known_are_refused(settings, parts, data_path):
    refusal(loaders, "BPR", data_path, parts=parts, **settings)


def test_case_11_as_many_negatives_are_drawn_as_asked_for(data_path):
    train, _, _ = loaders("BPR", data_path, train_neg_sample_args={"sample_num": 2})
    rows, first = 0, None
    for batch in train:
        rows += len(batch)
        first = batch if first is None else first
    assert rows == 2 * len(train.dataset)
    had = {}
    for user, item, _ in base():
        had.setdefault(user, set()).add(item)
    training = {}
    for user, item in zip(train.dataset.inter_feat["user_id"].tolist(), train.dataset.inter_feat["item_id"].tolist()):
        training.setdefault(user, set()).add(item)
    for user, item in zip(first["user_id"].tolist(), first["neg_item_id"].tolist()):
        assert item not in training[user]


def test_case_05_ends_in_the_pipeline(with_everything, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"data_path": str(with_everything), "eval_args": {"mode": "uni20"}, "epochs": 1, "state": "ERROR"}
    with pytest.raises(RecBoleSigmaError, match="user 'everything'"):
        run_recbole_sigma("SASRecAP", "d", config_dict=settings)


@pytest.mark.parametrize("interval", [4, ">=4", "4", "[4,inf"])
def test_an_interval_that_is_none_removes_no_row(interval, rated):
    """RecBole takes it for no interval, and then removes the second to last row."""
    parts = ["val_interval has", "rating", '"[4,inf)"']
    refusal(loaders, "BPR", rated, parts=parts, val_interval={"rating": interval}, **LOAD)


@pytest.mark.parametrize(
    "settings",
    [
        {"load_col": {"inter": ["user_id", "item_id"]}, "eval_args": {"order": "RO", "split": {"RS": [0.8, 0.1, 0.1]}}},
        {"load_col": {"inter": ["user_id", "item_id"]}, "eval_args": {"order": "RO"}},
    ],
    ids=str,
)
def test_copies_are_not_dropped_without_a_word_where_times_are_not_loaded(settings, data_path):
    refusal(loaders, "BPR", data_path, parts=["drop_duplicates is true", "no times"], drop_duplicates=True, **settings)


def test_case_07_metrics_of_lists_need_lists(rated):
    settings = {"metrics": ["Recall"], "valid_metric": "Recall@5", "threshold": {"rating": 4}}
    refusal(
        loaders,
        "DeepFM",
        rated,
        parts=["'labeled'", "'Recall'", "AUC"],
        eval_args={"mode": "labeled"},
        **LOAD,
        **settings,
    )
