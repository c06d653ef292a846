"""Where settings come from, and what is refused."""

import inspect
import json
import os
import re
import socket
import sys
from pathlib import Path

import pytest
import torch
import yaml
from recbole.config import Config as RecBoleConfig
from recbole.model.abstract_recommender import GeneralRecommender, SequentialRecommender
from recbole.utils import InputType, ModelType

from recbole_sigma.config import Config, find_model, known_keys, known_models, reading
from recbole_sigma.defaults import fill_defaults
from recbole_sigma.config import config as config_module
from recbole_sigma.config import keys as keys_module
from recbole_sigma.errors import ConfigError
from recbole_sigma.rules import at_least

ROOT = Path(__file__).parents[1]
DATASETS = sorted(path.stem for path in (ROOT / "dataset_configs").glob("*.yaml"))


class Toy(SequentialRecommender):
    """A model of somebody else, without a YAML file."""

    input_type = InputType.POINTWISE
    settings = {"toy_size": at_least(2)}

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.toy_depth = config["toy_depth"]

    @staticmethod
    def check_combination(config):
        if config["toy_size"] == 13:
            raise ConfigError("toy_size is 13; expected a lucky number")


def make(model="SASRec", dataset="ml-100k", **settings):
    return Config(model, dataset, config_dict=settings)


def argv(*words, model="SASRec", dataset="ml-100k"):
    return Config(model, dataset, argv=words)


def refused(*parts):
    """Expect a ConfigError whose message holds all the parts, in order."""
    return pytest.raises(ConfigError, match="(?s)" + ".*".join(map(re.escape, parts)))


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


# Command line


@pytest.mark.parametrize(
    "words",
    [
        ["--epochs=3", "--learning_rate=1e-4", "--use_gpu=False", "--topk=[20, 30]"],
        ["--epochs", "3", "--learning_rate", "1e-4", "--use_gpu", "false", "--topk", "[20, 30]"],
    ],
)
def test_both_spellings_of_the_command_line_are_understood(words):
    config = argv(*words)
    assert [config[key] for key in ("epochs", "learning_rate", "use_gpu", "topk")] == [3, 1e-4, False, [20, 30]]


def test_a_value_may_hold_an_equals_sign_or_begin_with_a_dash():
    assert argv("--checkpoint_dir=a=b", "--log_wandb")["checkpoint_dir"] == "a=b"
    with refused("seed is -1"):
        argv("--seed", "-1")


def test_a_bare_flag_is_true_for_a_boolean_key_only():
    assert argv("--log_wandb", "--epochs=2")["log_wandb"] is True
    assert argv("--log_wandb")["log_wandb"] is True
    with refused("--epochs has no value", "expected --epochs=VALUE"):
        argv("--epochs", "--log_wandb")


@pytest.mark.parametrize("word", ["file.yaml", "-e", "-epochs=3", "--", "--=3"])
def test_other_words_are_refused(word):
    with refused(repr(word), "expected --key=value"):
        argv(word)


def test_one_key_twice_needs_one_value():
    assert argv("--epochs=3", "--epochs", "3")["epochs"] == 3
    with refused("--epochs is given twice, as 3 and as 4"):
        argv("--epochs=3", "--epochs=4")


def test_sys_argv_is_not_read(monkeypatch):
    words = ["program", "--epochs=3", "file.yaml"]
    monkeypatch.setattr(sys, "argv", words)
    assert make()["epochs"] == 300
    assert words == ["program", "--epochs=3", "file.yaml"]


def test_the_loader_of_pyyaml_is_left_alone():
    before = {key: list(value) for key, value in yaml.FullLoader.yaml_implicit_resolvers.items()}
    make(learning_rate="1e-4")
    assert yaml.FullLoader.yaml_implicit_resolvers == before
    assert isinstance(yaml.safe_load("1e-4"), str)


# Strings


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e-4", 1e-4),
        ("-.5", -0.5),
        ("7", 7),
        ("True", True),
        ("false", False),
        ("None", None),
        ("~", None),
        ("[1, 2.5]", [1, 2.5]),
        ("{'split': {'LS': None}}", {"split": {"LS": None}}),
        ("'5'", "5"),
        ("", ""),
        (" ", " "),
        ("\t", "\t"),
        ("|", "|"),
        (":", ":"),
        ("-", "-"),
        ("[5,inf)", "[5,inf)"),
        ("0,1", "0,1"),
        ("a: b", "a: b"),
        ("file #1", "file #1"),
        ("2026-01-01", "2026-01-01"),
        ("*x", "*x"),
        ("{a: 1, a: 2}", "{a: 1, a: 2}"),
        ("!!python/object/apply:os.getcwd []", "!!python/object/apply:os.getcwd []"),
        ("__import__('os')", "__import__('os')"),
    ],
)
def test_strings_stand_for_what_yaml_reads_in_them(text, value):
    parsed = argv(f"--seq_len={text}")["seq_len"]
    assert parsed == value and type(parsed) is type(value)
    assert make(seq_len=text)["seq_len"] == value


def test_text_stays_text_where_the_default_is_a_string():
    config = argv("--gpu_id=1", "--checkpoint_dir=2026", "--inter_matrix_type=01", model="DMF")
    assert [config[key] for key in ("gpu_id", "checkpoint_dir", "inter_matrix_type")] == ["1", "2026", "01"]
    assert make(checkpoint_dir="1e3")["checkpoint_dir"] == "1e3"


def test_model_and_dataset_stay_strings(tmp_path):
    assert Config("Pop", argv=["--dataset=1e3"]).dataset == "1e3"
    assert Config(config_dict={"model": "Pop", "dataset": "007"}).dataset == "007"
    with refused("dataset is 1000.0", "quotes"):
        Config("Pop", config_file_list=[write(tmp_path / "a.yaml", "dataset: 1e3")])


def test_the_callers_dict_is_not_changed_and_may_hold_paths(tmp_path):
    settings = {"epochs": "3", "data_path": tmp_path}
    assert Config("Pop", "some", config_dict=settings)["data_path"] == str(tmp_path / "some")
    assert settings == {"epochs": "3", "data_path": tmp_path}


# Files


def test_later_layers_win(tmp_path, monkeypatch):
    first = write(tmp_path / "1.yaml", "epochs: 11\nseed: 11\nstopping_step: 11\neval_step: 11\n")
    second = write(tmp_path / "2.yaml", "seed: 12\nstopping_step: 12\neval_step: 12\n")
    config = Config("SASRec", "ml-100k", [first, second], {"stopping_step": 13, "eval_step": 13}, ["--eval_step=14"])
    assert [config[key] for key in ("epochs", "seed", "stopping_step", "eval_step")] == [11, 12, 13, 14]

    own = {
        ("properties", "overall"): {"epochs": 1, "seed": 1, "worker": 1, "load_col": {"inter": ["user_id"]}},
        ("properties", "model", "SASRec"): {"seed": 2, "worker": 2, "n_layers": 2},
        ("dataset_configs", "ml-100k"): {"worker": 3, "n_layers": 3, "normalize_all": False},
    }
    monkeypatch.setattr(config_module, "read_own", lambda *names: own.get(names, {}))
    config = Config("SASRec", "ml-100k", argv=["--valid_metric=MRR@10"] + ["--eval_args={order: TO}"])
    assert [config[key] for key in ("epochs", "seed", "worker", "n_layers", "normalize_all")] == [1, 2, 3, 3, False]


def test_eval_args_are_merged_key_by_key(tmp_path):
    path = write(tmp_path / "a.yaml", "eval_args: {split: {RS: [8, 1, 1]}}")
    config = Config("BPR", "ml-100k", path, argv=["--eval_args={mode: uni100}"])
    assert config["eval_args"] == {
        "split": {"RS": [8, 1, 1]},
        "order": "TO",
        "group_by": "user",
        "mode": {"valid": "uni100", "test": "uni100"},
    }


def test_an_empty_file_is_fine(tmp_path):
    assert Config("SASRec", "ml-100k", [write(tmp_path / "a.yaml", "# nothing\n")])["epochs"] == 300


@pytest.mark.parametrize(
    "text, parts",
    [
        ("epochs: [1\nseed: 3", ["a.yaml, line 2", "expected ',' or ']'"]),
        ("- epochs\n", ["a.yaml holds a list", "key: value"]),
        ("just words", ["a.yaml holds a str"]),
        ("epochs: 1\nseed: 2\nepochs: 3\n", ["a.yaml, line 3", "'epochs' is given twice"]),
        ("eval_args: {order: TO, order: RO}\n", ["a.yaml, line 1", "'order' is given twice"]),
        ("epochs: !!python/name:os.system\n", ["a.yaml, line 1", "could not determine a constructor"]),
    ],
)
def test_files_that_are_not_settings_are_refused(tmp_path, text, parts):
    with refused("config file", *parts):
        Config("SASRec", "ml-100k", [write(tmp_path / "a.yaml", text)])


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with refused("config file", "missing.yaml cannot be read", "No such file"):
        Config("SASRec", "ml-100k", [tmp_path / "missing.yaml"])
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    with refused("binary.yaml is not text in UTF-8"):
        Config("SASRec", "ml-100k", [tmp_path / "binary.yaml"])


def test_numbers_and_dates_in_files(tmp_path):
    config = Config("SASRec", "ml-100k", write(tmp_path / "a.yaml", "learning_rate: 5e-4\ncheckpoint_dir: 2026-01-01"))
    assert (config["learning_rate"], config["checkpoint_dir"]) == (5e-4, "2026-01-01")


def test_a_source_tree_that_is_not_installed_finds_its_files(monkeypatch):
    def missing(package):
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(reading, "files", missing)
    config = make("SIGMA")
    assert (config["remove_seen"], config["num_categories"], config["normalize_all"]) == (True, 4, False)


# Model and data set


def test_models_are_found_by_name_and_by_class(monkeypatch):
    from recbole_sigma.model import MODELS

    assert make("SIGMA").model_class is MODELS["SIGMA"]
    assert make("SASRec").model_class.__module__.startswith("recbole.")
    config = Config(Toy, "ml-100k", config_dict={"toy_size": 3})
    assert (config.model, config.model_class, config["toy_size"]) == ("Toy", Toy, 3)
    monkeypatch.setitem(MODELS, "Toy", Toy)
    assert Config(config_dict={"model": "Toy", "dataset": "ml-100k", "toy_size": 3}).model_class is Toy
    assert Config(argv=["--model=Pop", "--dataset=ml-100k"]).model == "Pop"


def test_an_unknown_model_names_the_nearest():
    for name, near in [("sasrec", "SASRec"), ("sigma", "SIGMA"), ("LightGNC", "LightGCN"), ("bert4rec", "BERT4Rec")]:
        with refused(f"model {name!r} is not known", "did you mean", near):
            make(name)
    with refused("model 'zzzzzz' is not known"):
        make("zzzzzz")
    with refused("model '3' is not known"):
        make(3)


def test_known_models_are_spelled_like_their_classes():
    assert {"SIGMA", "SASRec", "BPR", "KD_DAGFM", "LDiffRec", "Random"} <= set(known_models())
    assert find_model("Random").__name__ == "Random"


@pytest.mark.parametrize("key, model, dataset", [("model", None, "ml-100k"), ("dataset", "SASRec", None)])
def test_a_missing_model_or_dataset_says_how_to_give_it(key, model, dataset):
    with refused(f"no {key} is given", f"--{key}=", "YAML file", f"Config({key}="):
        Config(model, dataset)


def test_several_models_are_for_compare_models():
    with refused("'SASRec,BPR'", "one name", "compare_models"):
        make("SASRec,BPR")


def test_a_model_whose_package_is_missing_says_so(monkeypatch):
    def missing(name):
        raise ImportError("No module named 'dgl'")

    monkeypatch.setattr(keys_module, "get_model", missing)
    with refused("model NCL needs a package", "dgl"):
        make("NCL")


# Keys


def test_unknown_keys_are_refused_with_origin_and_nearest_name(tmp_path):
    path = write(tmp_path / "mine.yaml", "epoch: 3\n")
    with pytest.raises(ConfigError) as error:
        words = ["--lerning_rate=3", "--num_categories=4", "--zzzzzz=1"]
        Config("SASRec", "ml-100k", [path], {"train_batchsize": 3}, words)
    assert str(error.value).splitlines() == [
        f"epoch (in {path}) is not known; did you mean epochs?",
        "train_batchsize (in config_dict) is not known; did you mean train_batch_size?",
        "lerning_rate (on the command line) is not known; did you mean learning_rate?",
        "num_categories (on the command line) is a key of SIGMA, not of SASRec",
        "zzzzzz (on the command line) is not known",
    ]


def test_a_key_of_many_models_names_some():
    with refused("embedding_size", "is a key of AFM, AutoInt, BPR and", "more models, not of SASRec"):
        make(embedding_size=3)


def test_settings_of_models_compared_go_to_those_that_know_them():
    words = ["--num_categories=3", "--toy_size=4", "--hidden_size=32", "--mixture_mask"]
    config = Config("SASRec", "ml-100k", argv=words, companions=["SIGMA", Toy])
    assert config["hidden_size"] == 32
    assert not {"num_categories", "toy_size", "mixture_mask"} & set(config.plain_dict())
    config = Config("SIGMA", "ml-100k", argv=words, companions=["SASRec", Toy])
    assert (config["num_categories"], config["hidden_size"], config["mixture_mask"]) == (3, 32, True)
    with refused("toy_size (on the command line) is not known"):
        Config("SIGMA", "ml-100k", argv=words, companions=["SASRec"])
    with refused("model 'SASRecs' is not known", "SASRec"):
        Config("SIGMA", "ml-100k", companions=["SASRecs"])


@pytest.mark.parametrize("key", ["device", "MODEL_TYPE", "single_spec", "eval_type"])
def test_what_recbole_computes_cannot_be_set(key):
    with refused(f"{key} (in config_dict) cannot be set: it follows from"):
        make(**{key: "x"})


@pytest.mark.parametrize(
    "model, key, value",
    [
        ("SASRec", "config_files", "a b"),
        ("SASRec", "encoding", "utf-8"),  # read in RecBole's source only
        ("SASRec", "wandb_project", "x"),
        ("DiffRec", "time-aware", False),
        ("SIGMA", "remove_seen", False),
        ("KD_DAGFM", "warm_up", "x"),  # read with `in config`
    ],
)
def test_keys_that_are_declared_or_read_somewhere_are_known(model, key, value):
    assert make(model, **{key: value})[key] == value


def test_keys_of_a_model_class_are_those_it_reads_and_those_it_has_rules_for():
    assert {"toy_size", "toy_depth", "epochs", "remove_seen", "LABEL_FIELD"} <= known_keys(Toy)
    assert not {"prototype_size", "MODEL_TYPE"} & known_keys(Toy)
    assert "n_layers" in known_keys(find_model("SASRec"))


def test_a_class_without_source_is_fine():
    scope = {"Base": GeneralRecommender, "InputType": InputType}
    exec("class Typed(Base):\n    input_type = InputType.PAIRWISE\n", scope)
    with refused("zzzzzz", "is not known"):
        Config(scope["Typed"], "ml-100k", config_dict={"zzzzzz": 1})
    assert Config(scope["Typed"], "ml-100k").model == "Typed"


# Values


@pytest.mark.parametrize(
    "settings, parts",
    [
        ({"epochs": 0}, ["epochs is 0", "an integer of at least 1"]),
        ({"epochs": True}, ["epochs is True", "an integer"]),
        ({"learning_rate": "fast"}, ["learning_rate is 'fast'", "number above 0"]),
        ({"use_gpu": 1}, ["use_gpu is 1", "true or false"]),
        ({"checkpoint_dir": 3}, ["checkpoint_dir is 3", "a string"]),
        ({"checkpoint": 3}, ["checkpoint is 3", "the path of a checkpoint or nothing"]),
        ({"seed": None}, ["seed is None", "an integer"]),
        ({"n_layers": 2.5}, ["n_layers is 2.5", "an integer"]),
        ({"initializer_range": "x"}, ["initializer_range is 'x'", "a finite number"]),
        ({"attn_dropout_prob": 1.0}, ["attn_dropout_prob is 1.0", "[0, 1)"]),
        ({"topk": [10, 0]}, ["topk is [10, 0]", "an integer of at least 1"]),
        ({"learner": "adm"}, ["learner is 'adm'", "adam, adamw"]),
        ({"metrics": ["Recal"]}, ["metrics has 'Recal'", "expected some of", "did you mean Recall"]),
        ({"metrics": ["Hit"]}, ["valid_metric is 'Recall@20'", "Hit@20, Hit@40"]),
        ({"topk": 10}, ["valid_metric is 'Recall@20'", "Recall@10, NDCG@10"]),
        ({"valid_metric": "Recall"}, ["valid_metric is 'Recall'", "Recall@20"]),
        ({"metrics": ["AUC", "Recall"]}, ["Ranking metrics and value metrics"]),
        ({"hidden_size": 63}, ["hidden_size is 63", "multiple of n_heads, which is 2"]),
        ({"n_heads": 0}, ["n_heads is 0", "at least 1"]),
        ({"eval_args": "full"}, ["eval_args is 'full'", "a mapping"]),
        ({"eval_args": {"ordre": "TO"}}, ["eval_args has ordre", "order"]),
        ({"eval_args": {"order": "RO"}}, ["order in eval_args is 'RO'", "TO", "sequential"]),
        ({"eval_args": {"order": "time"}}, ["order in eval_args is 'time'", "RO (random) or TO"]),
        ({"eval_args": {"group_by": "item"}}, ["group_by in eval_args is 'item'", "user or none"]),
        ({"eval_args": {"mode": "uni"}}, ["mode in eval_args is 'uni'", "uniN or popN"]),
        ({"eval_args": {"mode": {"valid": 3}}}, ["mode in eval_args is 3"]),
        ({"eval_args": {"mode": {"tset": "full"}}}, ["mode in eval_args is {'tset'", "valid and test"]),
        ({"eval_args": {"split": None}}, ["split in eval_args is None", "LS: valid_and_test"]),
        ({"eval_args": {"split": {"LS": "both"}}}, ["split in eval_args", "both", "valid_only"]),
        ({"eval_args": {"split": {"RS": [0.9, 0.1]}}}, ["split in eval_args", "RS: [0.8, 0.1, 0.1]"]),
        ({"eval_args": {"split": {"RS": 0.8}}}, ["split in eval_args"]),
        ({"eval_args": {"split": {"RS": [8, 1, 1], "LS": "valid_only"}}}, ["split in eval_args", "one of"]),
        ({"train_neg_sample_args": {"distribution": "uniform"}}, ["train_neg_sample_args", "should be None", "CE"]),
        ({"repeatable": False}, ["repeatable", "True"]),
        ({"loss_type": "BPR", "train_neg_sample_args": 3}, ["train_neg_sample_args", "dict"]),
    ],
    ids=str,
)
def test_wrong_values_are_refused(settings, parts):
    with refused(*parts):
        make(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 1},
        {"gpu_id": 0},
        {"gpu_id": ""},
        {"metrics": "NDCG", "valid_metric": "ndcg@40"},
        {"metrics": ["GAUC"], "valid_metric": "GAUC"},
        {"metrics": ["AUC"], "valid_metric": "AUC", "eval_args": {"mode": "uni100"}},
        {"topk": 5, "valid_metric": "Recall@5"},
        {"user_inter_num_interval": None},
        {"eval_args": {"mode": {"valid": "uni100", "test": "full"}, "group_by": None}},
        {"eval_args": {"split": {"TS": [0.8, 0.1, 0.1]}}},
        {"loss_type": "BPR"},
    ],
    ids=str,
)
def test_right_values_are_accepted(settings):
    make(**settings)


def test_the_model_checks_its_own_settings():
    for value, expected in [(1, "at least 2"), (13, "lucky"), (None, "at least 2")]:
        with refused(f"toy_size is {value}", expected):
            Config(Toy, "ml-100k", config_dict={"toy_size": value})
    with refused("toy_size is None", "at least 2"):
        Config(Toy, "ml-100k")
    with refused("hidden_size is 62", "multiple of n_heads"):
        make("SIGMA", hidden_size=62, n_heads=4)


def test_other_errors_of_recbole_keep_their_message_and_cause():
    with pytest.raises(ConfigError, match="Full sort evaluation do not match") as error:
        make("BPR", metrics=["AUC"], valid_metric="AUC")
    assert isinstance(error.value.__cause__, NotImplementedError)


# Stock models


@pytest.mark.parametrize("dataset", [*DATASETS, "unheard-of"])
@pytest.mark.parametrize("model", "SASRec BERT4Rec GRU4Rec BPR LightGCN Pop S3Rec DIN GRU4RecKG ItemKNN SIGMA".split())
def test_models_and_data_sets_go_together(model, dataset):
    config = make(model, dataset)
    assert config["metrics"] == ["Recall", "NDCG"] and config["eval_args"]["split"] == {"LS": "valid_and_test"}
    assert config["valid_metric"] == "Recall@20" and config["remove_seen"] is True
    assert config["repeatable"] is (config["MODEL_TYPE"].name == "SEQUENTIAL")
    assert "timestamp" in config["load_col"]["inter"]
    if dataset != "unheard-of":
        assert (config["user_inter_num_interval"], config["item_inter_num_interval"]) == ("[5,inf)", "[5,inf)")
        assert config["MAX_ITEM_LIST_LENGTH"] == (100 if dataset.startswith("ml-") else 50)
        assert config["val_interval"] == ({"rating": "[4,inf)"} if dataset.startswith("ml-") else None)
        assert not config["normalize_all"]


def test_every_model_of_recbole_accepts_its_own_defaults():
    for name in set(known_models()) - {"LightGBM", "XGBoost"}:
        config = make(name)
        own = yaml.load(_stock_file(name), reading.Loader) or {}
        own.pop("train_neg_sample_args", None)
        make(name, **{key: value for key, value in own.items() if config[key] == value})


def _stock_file(name):
    path = Path(inspect.getfile(RecBoleConfig)).parents[1] / "properties" / "model" / f"{name}.yaml"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def test_negatives_are_drawn_unless_the_loss_is_cross_entropy():
    for model, settings, distribution in [
        ("SASRec", {}, "none"),
        ("SASRec", {"loss_type": "BPR"}, "uniform"),
        ("SASRec", {"train_neg_sample_args": "None"}, "none"),
        ("SIGMA", {}, "none"),
        ("BPR", {}, "uniform"),
        ("DIN", {}, "uniform"),
    ]:
        assert make(model, **settings)["train_neg_sample_args"]["distribution"] == distribution


def test_features_that_a_model_needs_are_still_loaded():
    assert make("S3Rec")["load_col"]["item"] == ["item_id", "release_year", "class"]
    assert make("KGAT", "some")["load_col"]["kg"] == ["head_id", "relation_id", "tail_id"]
    assert make("S3Rec", load_col={"inter": ["user_id"]})["load_col"] == {"inter": ["user_id"]}


def test_columns_follow_the_names_of_the_fields():
    config = make("SASRec", "some", USER_ID_FIELD="session", TIME_FIELD="ts")
    assert config["load_col"] == {"inter": ["session", "item_id", "ts"]}


def test_models_of_labels_keep_their_own_evaluation():
    config = make("DeepFM")
    assert (config["metrics"], config["valid_metric"], config["val_interval"]) == (["AUC", "LogLoss"], "AUC", None)
    assert config["eval_args"]["mode"] == {"valid": "labeled", "test": "labeled"}


def test_fill_defaults_completes_a_config_of_stock_recbole(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program"])
    config = RecBoleConfig(find_model("SIGMA"), "ml-100k", config_dict={"n_layers": 3})
    fill_defaults(config, "SIGMA")
    assert (config["n_layers"], config["num_categories"]) == (3, 4)
    assert config["train_batch_size"] == 2048  # RecBole's own setting stays


def test_ml_100k_of_the_user_is_taken_where_there_is_one(tmp_path):
    assert "dataset_example" in make()["data_path"]
    assert "dataset_example" in make(data_path=str(tmp_path))["data_path"]
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "ml-100k.inter").touch()
    assert make(data_path=str(tmp_path))["data_path"] == str(tmp_path / "ml-100k")


# Results


def test_plain_dict_is_plain():
    plain = make("SASRec", seq_len={"a": (1, 2)}).plain_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["device"], plain["MODEL_TYPE"], plain["seq_len"]) == ("cpu", "SEQUENTIAL", {"a": [1, 2]})


def test_progress_bars_are_for_terminals(monkeypatch):
    for terminal, setting, shown in [(True, True, True), (True, False, False), (False, True, False)]:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
        assert make(show_progress=setting)["show_progress"] is shown


def _shipped():
    return [*sorted((ROOT / "properties").rglob("*.yaml")), *sorted((ROOT / "dataset_configs").glob("*.yaml"))]


@pytest.mark.parametrize("path", _shipped(), ids=lambda path: path.name)
def test_every_shipped_key_has_its_type_and_meaning(path):
    text = path.read_text(encoding="utf-8")
    for key in yaml.safe_load(text):
        assert re.search(rf"^{key}:.*# \([a-z ]+\) \S", text, re.M), key
    assert text.startswith("# ")


# Device


@pytest.mark.parametrize("before", [None, "3"])
@pytest.mark.parametrize("settings", [{"use_gpu": False}, {"gpu_id": ""}, {}])
def test_without_a_gpu_the_environment_is_left_alone(monkeypatch, before, settings):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    config = make(**settings)
    assert (config["device"].type, config["single_spec"], config["local_rank"]) == ("cpu", True, 0)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


def test_a_gpu_is_used_unless_switched_off(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert make(use_gpu=False)["device"].type == "cpu"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert make(gpu_id=1)["device"].type == "cuda"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


def test_an_incomplete_process_group_is_refused(monkeypatch):
    with refused("local_rank is set", "world_size, offset, ip, port"):
        make(local_rank=0, nproc=1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    group = {"local_rank": 0, "offset": 0, "ip": "localhost", "port": 1, "world_size": 2, "nproc": 2}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    with refused("gpu_id is '0'", "expected 2 devices"):
        make(**group)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"


def _process(rank, port, folder):
    config = make(local_rank=rank, nproc=2, world_size=2, offset=0, ip="127.0.0.1", port=port, use_gpu=False)
    total = torch.tensor([rank + 1.0], device=config["device"])
    torch.distributed.all_reduce(total)
    result = [total.item(), torch.distributed.get_backend(), str(config["device"]), config["single_spec"]]
    result += [config["state"], config["verbose"]]
    torch.distributed.destroy_process_group()
    Path(folder, f"{rank}.json").write_text(json.dumps(result), encoding="utf-8")


def test_processes_without_a_gpu_form_a_gloo_group(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(_process, (port, str(tmp_path)), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == [3.0, "gloo", "cpu", False, "INFO", None]
    assert second == [3.0, "gloo", "cpu", False, "error", False]


def test_a_general_model_that_repeats_items_has_to_rank_those_seen_before():
    with pytest.raises(ConfigError, match="repeatable is true.*set remove_seen: false as well"):
        make("BPR", repeatable=True)
    assert make("BPR", repeatable=True, remove_seen=False)["repeatable"]
    assert make("SASRec")["repeatable"] and make("SASRec")["remove_seen"]


def test_tree_models_are_refused(monkeypatch):
    class Forest(GeneralRecommender):
        type = ModelType.DECISIONTREE

    with pytest.raises(ConfigError, match="Forest is a tree model"):
        Config(Forest, "ml-100k")


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="ITEM_LIST_LENGTH_FIELD is 'user_id', as USER_ID_FIELD is"):
        Config("SIGMA", "ml-100k", config_dict={"ITEM_LIST_LENGTH_FIELD": "user_id"})
