"""What a stock model needs and does not have is named in one message, before training."""

import ast
import sys
from pathlib import Path

import pytest
import recbole

from recbole_sigma import run_recbole_sigma
from recbole_sigma.config import Config
from recbole_sigma.config.keys import known_models
from recbole_sigma.config.needs import NEEDS
from recbole_sigma.data import create_dataset
from recbole_sigma.errors import RecBoleSigmaError
from tests.cases.made_up import base, write_atomic


@pytest.fixture(scope="module")
def data_path(tmp_path_factory):
    return write_atomic(tmp_path_factory.mktemp("data"), base())


def run(model, data_path, **settings):
    settings = {"data_path": str(data_path), "epochs": 1, "state": "ERROR", **settings}
    return run_recbole_sigma(model, "d", config_dict=settings, saved=False)


def refusal(model, data_path, *parts, **settings):
    """The message of the error that a run ends with, which has all the parts."""
    with pytest.raises(RecBoleSigmaError) as error:
        run(model, data_path, **settings)
    for part in parts:
        assert part in str(error.value)
    return str(error.value)


@pytest.fixture
def priced(tmp_path):
    """Data with an item file that has a column of numbers."""
    write_atomic(tmp_path, base())
    prices = [(f"i{item}", item + 0.5, f"c{item % 3}") for item in range(40)]
    return write_atomic(tmp_path, prices, ("item_id:token", "price:float", "class:token"), suffix="item")


PRICES = {
    "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "price", "class"]},
    "MAX_ITEM_LIST_LENGTH": 10,
}


@pytest.mark.parametrize("model", ["SASRecF", "GRU4RecF", "FDSA"])
def test_case_12_a_column_of_numbers_needs_numerical_features(model, priced):
    refusal(model, priced, "selected_features has 'price'", "numerical_features", selected_features=["price"], **PRICES)
    for features in (["price"], ["class", "price"]):
        run(model, priced, selected_features=features, numerical_features=["price"], **PRICES)


@pytest.mark.parametrize("model", ["GRU4RecF", "SASRecF", "FDSA", "S3Rec"])
def test_case_13_a_missing_item_file_is_named_with_the_column_and_the_key(model, data_path):
    key = "item_attribute" if model == "S3Rec" else "selected_features"
    refusal(model, data_path, "d.item", "class", key)


def test_case_13_a_missing_column_of_the_item_file_is_named(priced):
    refusal(
        "GRU4RecF",
        priced,
        "d.item",
        "clas",
        "selected_features",
        "did you mean class",
        **PRICES,
        selected_features=["clas"],
    )
    refusal("GRU4RecF", priced, "load_col has no 'item'", "class")


@pytest.mark.parametrize("model", ["FM", "DeepFM", "DIN", "NeuMF"])
def test_case_14_a_model_of_labels_without_labels_names_the_ways_to_them(model, data_path):
    refusal(model, data_path, "label", "threshold", train_neg_sample_args=None)


def test_case_16_a_missing_package_is_named_before_data_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("recbole_sigma.config.needs.find_spec", lambda name: None)
    config = Config("KGAT", "d", config_dict={"data_path": str(tmp_path)})
    with pytest.raises(RecBoleSigmaError, match="KGAT needs the package dgl"):
        create_dataset(config)  # there are no data


def test_case_16_every_package_that_recbole_does_not_install_is_known():
    """Imports in the source of RecBole's models, but for those that its own setup installs or compat.py replaces."""
    installed = {*sys.stdlib_module_names, "recbole", "numpy", "scipy", "torch", "sklearn", "pandas"}
    replaced = {"faiss", "kmeans_pytorch"}
    companions = {"networkx": "community"}  # a requirement of python-louvain
    found = {}
    for path in Path(recbole.__file__).parent.glob("model/*_recommender/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in {name.partition(".")[0] for name in names} - installed - replaced:
                found.setdefault(companions.get(name, name), set()).add(path.stem)
    known = {}
    for model, needs in NEEDS.items():
        if needs.package:
            known.setdefault(needs.package, set()).add(model.lower())
    assert found == known


@pytest.mark.parametrize("has_faiss", [True, False])
def test_case_32_more_clusters_than_users_or_items_are_refused(has_faiss, data_path, monkeypatch):
    if not has_faiss:
        monkeypatch.setitem(sys.modules, "faiss", None)
    refusal("NCL", data_path, "num_clusters is 1000", "60 users", "40 items", "at most 40")


@pytest.mark.parametrize(
    "model, settings, parts",
    [
        ("KGCN", {}, ["d.kg", "does not exist"]),
        ("GRU4RecKG", {}, ["d.kg", "does not exist"]),
        ("S3Rec", {"train_stage": "finetun"}, ["train_stage is 'finetun'", "finetune"]),
        ("RaCT", {"train_stage": "finetune"}, ["pre_model_path is ''", "train_stage 'finetune'"]),
        ("ConvNCF", {"train_method": "after_pretrain"}, ["pre_model_path is ''"]),
        ("NeuMF", {"use_pretrain": True}, ["mf_pretrain_path is None"]),
        ("NAIS", {"pretrain_path": "nowhere.pth"}, ["pretrain_path is 'nowhere.pth'"]),
        ("KD_DAGFM", {"phase": "distillation"}, ["warm_up is ''"]),
        ("NNCF", {"neigh_info_method": "louvain"}, ["python-louvain"]),
        ("BPR", {"train_neg_sample_args": None}, ["train_neg_sample_args", "BPR needs"]),
        ("BPR", {"transform": "crop_itemseq"}, ["transform is 'crop_itemseq'"]),
        ("GRU4RecCPR", {}, ["reranker_CAN_NUM is 100", "40 items"]),
        ("DGCF", {}, ["train_batch_size is 2048", "40 items"]),
        ("DGCF", {"n_factors": 5}, ["embedding_size is 64", "n_factors = 5"]),
    ],
    ids=str,
)
def test_other_needs_are_named(model, settings, parts, data_path, monkeypatch):
    monkeypatch.setattr("recbole_sigma.config.needs.find_spec", lambda name: None)
    refusal(model, data_path, *parts, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("model", known_models())
def test_every_model_trains_on_interactions_alone_or_says_what_it_needs(model, data_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        run(model, data_path, MAX_ITEM_LIST_LENGTH=5) if model in ("Caser", "DIN", "DIEN") else run(model, data_path)
    except RecBoleSigmaError as error:
        assert "expected" in str(error) or "needs" in str(error)
