"""Where settings come from, and which keys and values raise an error."""

import inspect
import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from recbole.config import Config as RecBoleConfig
from recbole.model.abstract_recommender import GeneralRecommender, SequentialRecommender
from recbole.utils import InputType, ModelType

from recbole_sigma import defaults, rules
from recbole_sigma.config import Config, find_model, known_keys, known_models, model_keys
from recbole_sigma.config import config as config_module
from recbole_sigma.config import keys as keys_module
from recbole_sigma.config.keys import reads
from recbole_sigma.config.reading import parse
from recbole_sigma.defaults import fill_defaults, next_item_defaults, read_own, read_yaml
from recbole_sigma.errors import ConfigError
from recbole_sigma.model import SIGMA
from recbole_sigma.model.base import LossTerms, NextItemRecommender
from recbole_sigma.rules import at_least, one_of
from tests.model.helpers import Catalog, all_positions

ROOT = Path(__file__).parents[1]
DATASETS = sorted(path.stem for path in (ROOT / "dataset_configs").glob("*.yaml"))


class Toy(SequentialRecommender):
    """A model of a user, without a YAML file."""

    input_type = InputType.POINTWISE
    rules = {"toy_size": at_least(2)}

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.toy_depth = config["toy_depth"]

    @staticmethod
    def check_combination(config):
        if config["toy_size"] == 13:
            raise ConfigError("toy_size is 13; expected a lucky number")


class GRU(NextItemRecommender):
    """A next-item model of a user, without ``properties``."""

    rules = {**NextItemRecommender.rules, "cell": one_of("gru")}

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.gru = torch.nn.GRU(config["hidden_size"], config["hidden_size"])
        self.init_weights(config["initializer_range"])

    def encode(self, items, packing):
        return packing.recurrent(self.gru, self.item_embedding(items))

    def encode_users(self, items, packing):
        return self.encode(items, packing)[packing.last].unsqueeze(1) / self.temperature

    def loss_terms(self, batch):
        users = batch.select(self.encode(batch.items, batch.packing))
        return LossTerms({"ce": self.item_loss(users, self.item_vectors[1:], batch.target)}, len(batch.target))


def make(model="SASRec", dataset="ml-100k", **settings):
    return Config(model, dataset, config_dict=settings)


def argv(*words, model="SASRec", dataset="ml-100k"):
    return Config(model, dataset, argv=words)


def config_error(*parts):
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
def test_both_forms_of_the_command_line_are_read(words):
    config = argv(*words)
    assert [config[key] for key in ("epochs", "learning_rate", "use_gpu", "topk")] == [3, 1e-4, False, [20, 30]]


def test_a_value_may_hold_an_equals_sign_or_begin_with_a_dash():
    assert argv("--checkpoint_dir=a=b", "--log_wandb")["checkpoint_dir"] == "a=b"
    with config_error("seed is -1"):
        argv("--seed", "-1")


def test_a_bare_flag_is_true_for_a_boolean_key_only():
    assert argv("--log_wandb", "--epochs=2")["log_wandb"] is True
    with config_error("--epochs has no value", "expected --epochs=VALUE"):
        argv("--epochs", "--log_wandb")


@pytest.mark.parametrize("word", ["file.yaml", "-e", "-epochs=3", "--", "--=3"])
def test_other_words_raise_an_error(word):
    with config_error(repr(word), "expected --key=value"):
        argv(word)


def test_one_key_twice_needs_one_value():
    assert argv("--epochs=3", "--epochs", "3")["epochs"] == 3
    with config_error("--epochs is given twice, as 3 and as 4"):
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


def test_strings_are_read_as_yaml():
    values = {
        "1e-4": 1e-4,
        "-.5": -0.5,
        "7": 7,
        "True": True,
        "false": False,
        "None": None,
        "~": None,
        "[1, 2.5]": [1, 2.5],
        "{'split': {'LS': None}}": {"split": {"LS": None}},
        "'5'": "5",
    }
    text = ["", " ", "\t", "|", ":", "-", "[5,inf)", "0,1", "a: b", "file #1", "2026-01-01", "*x", "{a: 1, a: 2}"]
    text += ["!!python/object/apply:os.getcwd []", "__import__('os')"]
    for given, expected in {**values, **dict.fromkeys(text)}.items():
        expected = given if given in text else expected
        assert parse("key", given) == expected and type(parse("key", given)) is type(expected), given
    for given in ("1e-4", "None", "[1, 2.5]", "[5,inf)"):
        for config in (argv(f"--seq_len={given}"), make(seq_len=given)):
            assert config["seq_len"] == parse("seq_len", given)


def test_text_stays_text_where_the_default_is_a_string():
    config = argv("--gpu_id=1", "--checkpoint_dir=2026", "--inter_matrix_type=01", model="DMF")
    assert [config[key] for key in ("gpu_id", "checkpoint_dir", "inter_matrix_type")] == ["1", "2026", "01"]
    assert make(checkpoint_dir="1e3")["checkpoint_dir"] == "1e3"


def test_model_and_dataset_stay_strings(tmp_path):
    assert Config("Pop", argv=["--dataset=1e3"]).dataset == "1e3"
    assert Config(config_dict={"model": "Pop", "dataset": "007"}).dataset == "007"
    with config_error("dataset is 1000.0", "quotes"):
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

    real, keys = read_own, ("epochs", "seed", "worker", "eval_step", "stopping_step")
    layers = [
        ("properties", "overall"),
        ("properties", "sequential"),
        ("properties", "next_item"),
        ("properties", "model", "SIGMA"),
        ("dataset_configs", "ml-100k"),
    ]
    own = {names: {**real(*names), **dict.fromkeys(keys[i:], i + 1)} for i, names in enumerate(layers)}
    for module in (config_module, keys_module, defaults):
        monkeypatch.setattr(module, "read_own", lambda *names: own.get(names) or real(*names))
    for model, values in [("SIGMA", [1, 2, 3, 4, 5]), ("SASRec", [1, 2, 2, 2, 5]), ("BPR", [1, 1, 1, 1, 5])]:
        config = make(model)
        assert [config[key] for key in keys] == values, model
        assert config["normalize_all"] is False  # RecBole's file for ml-100k says True


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
def test_files_that_are_not_settings_raise_an_error(tmp_path, text, parts):
    with config_error("config file", *parts):
        Config("SASRec", "ml-100k", [write(tmp_path / "a.yaml", text)])


def test_files_that_cannot_be_read_raise_an_error(tmp_path):
    with config_error("config file", "missing.yaml cannot be read", "No such file"):
        Config("SASRec", "ml-100k", [tmp_path / "missing.yaml"])
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    with config_error("binary.yaml is not text in UTF-8"):
        Config("SASRec", "ml-100k", [tmp_path / "binary.yaml"])


def test_numbers_and_dates_in_files(tmp_path):
    config = Config("SASRec", "ml-100k", write(tmp_path / "a.yaml", "learning_rate: 5e-4\ncheckpoint_dir: 2026-01-01"))
    assert (config["learning_rate"], config["checkpoint_dir"]) == (5e-4, "2026-01-01")


def test_a_source_tree_that_is_not_installed_finds_its_files(monkeypatch):
    def missing(package):
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(defaults, "files", missing)
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
        with config_error(f"model {name!r} is not known", "did you mean", near):
            make(name)
    with config_error("model 'zzzzzz' is not known"):
        make("zzzzzz")
    with config_error("model '3' is not known"):
        make(3)


def test_known_models_are_spelled_like_their_classes():
    assert {"SIGMA", "SASRec", "BPR", "KD_DAGFM", "LDiffRec", "Random"} <= set(known_models())
    assert find_model("Random").__name__ == "Random"


@pytest.mark.parametrize("key, model, dataset", [("model", None, "ml-100k"), ("dataset", "SASRec", None)])
def test_a_missing_model_or_dataset_says_how_to_give_it(key, model, dataset):
    with config_error(f"no {key} is given", f"--{key}=", "YAML file", f"Config({key}="):
        Config(model, dataset)


def test_several_models_are_for_compare_models():
    with config_error("'SASRec,BPR'", "one name", "compare_models"):
        make("SASRec,BPR")


def test_a_model_whose_package_is_missing_says_so(monkeypatch):
    def missing(name):
        raise ImportError("No module named 'dgl'")

    monkeypatch.setattr(keys_module, "get_model", missing)
    with config_error("model NCL needs a package", "dgl"):
        make("NCL")


# Keys


def test_unknown_keys_raise_one_error_with_their_origin_and_a_similar_key(tmp_path):
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


def test_an_error_names_models_that_have_the_key():
    with config_error("embedding_size", "is a key of AFM, AutoInt, BPR and", "more models, not of SASRec"):
        make(embedding_size=3)
    with config_error("num_negatives (in config_dict) is a key of the plugin's models, not of BPR"):
        make("BPR", num_negatives=3)
    with config_error("temperature (in config_dict) is a key of the plugin's models, ", "not of BPR"):
        make("BPR", temperature=3)


def test_settings_of_models_compared_go_to_those_that_know_them():
    words = ["--num_categories=3", "--toy_size=4", "--hidden_size=32", "--mixture_mask"]
    config = Config("SASRec", "ml-100k", argv=words, companions=["SIGMA", Toy])
    assert config["hidden_size"] == 32
    assert not {"num_categories", "toy_size", "mixture_mask"} & set(config.plain_dict())
    config = Config("SIGMA", "ml-100k", argv=words, companions=["SASRec", Toy])
    assert (config["num_categories"], config["hidden_size"], config["mixture_mask"]) == (3, 32, True)
    with config_error("toy_size (on the command line) is not known"):
        Config("SIGMA", "ml-100k", argv=words, companions=["SASRec"])
    with config_error("model 'SASRecs' is not known", "SASRec"):
        Config("SIGMA", "ml-100k", companions=["SASRecs"])


def test_a_preset_is_for_its_own_model_among_companions():
    config = Config("SASRec", "ml-100k", ["SIGMA-paper"], {"epochs": 7}, companions=["SIGMA"])
    assert config.plain_dict() == make("SASRec", epochs=7).plain_dict()
    config = Config("SIGMA", "ml-100k", ["SIGMA-paper"], companions=["SASRec"])
    assert config.plain_dict() == Config("SIGMA", "ml-100k", ["SIGMA-paper"]).plain_dict()
    with config_error("num_categories (in SIGMA-paper) is a key of SIGMA, not of SASRec"):
        Config("SASRec", "ml-100k", ["SIGMA-paper"], companions=["BPR"])


def test_keys_that_cannot_be_set_say_why():
    with pytest.raises(ConfigError) as error:
        make(device="x", MODEL_TYPE="x", eval_type="x", single_spec=True, local_rank=0, nproc=1, world_size=2, port=80)
    reasons = "it follows from use_gpu and gpu_id", "it follows from the model", "it follows from metrics"
    keys = ["device", "MODEL_TYPE", "eval_type", "single_spec", "local_rank", "nproc", "world_size", "port"]
    assert str(error.value).splitlines() == [
        f"{key} (in config_dict) cannot be set; remove it: {reason}"
        for key, reason in zip(keys, [*reasons, *["a run uses one process"] * 5])
    ]
    with config_error("ip (on the command line) cannot be set", "offset (on the command line) cannot be set"):
        argv("--ip=localhost", "--offset=0")


def test_saved_copies_of_data_raise_an_error():
    assert make(save_dataset=False)["save_dataset"] is False
    with config_error("save_dataset (in config_dict) is not supported", "dataloaders_save_path (in config_dict)"):
        make(save_dataset=True, dataloaders_save_path="x.pth")


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


def test_source_code_shows_the_keys_that_it_reads():
    code = """
        class Model(Base):
            \"\"\"Not read: config["text"], and what the comment says.\"\"\"

            def __init__(self, config, dataset):
                self.config = config  # config["comment"]
                self.a = config["subscript"] + self.config["attribute"] + dataset.config["other-object"]
                self.b = config.get("get") or final_config_dict["dict"] or config.get("with", "default")
                if "in" in config and "not in" not in self.config and hasattr(config, "hasattr"):
                    self.c = "value" in config["member"]
                self.d = items["items"] + config[key] + config[0] + configure["x"] + "x" in words
    """
    found = {"subscript", "attribute", "other-object", "get", "dict", "with", "in", "not in", "hasattr", "member"}
    assert reads(code.lstrip("\n")) == found


def test_model_keys_are_those_of_the_model_and_not_of_every_model():
    own = {"hidden_size", "temperature", "loss", "num_negatives", "initializer_range", "MAX_ITEM_LIST_LENGTH"}
    assert model_keys(GRU) == own | {"cell"}
    assert model_keys(SIGMA) == own | set(SIGMA.rules)
    assert not {"train_batch_size", "learning_rate", "epochs", "train_targets", "min_history"} & model_keys(SIGMA)
    assert {"n_layers", "loss_type", "MAX_ITEM_LIST_LENGTH"} <= model_keys(find_model("SASRec"))


def test_a_class_without_source_is_fine():
    scope = {"Base": GeneralRecommender, "InputType": InputType}
    exec("class Typed(Base):\n    input_type = InputType.PAIRWISE\n", scope)
    with config_error("zzzzzz", "is not known"):
        Config(scope["Typed"], "ml-100k", config_dict={"zzzzzz": 1})
    assert Config(scope["Typed"], "ml-100k").model == "Typed"


# Values


@pytest.mark.parametrize(
    "settings, parts",
    [
        ({"epochs": 0}, ["epochs is 0", "an integer of at least 1"]),
        ({"use_gpu": 1}, ["use_gpu is 1", "true or false"]),
        ({"checkpoint_dir": 3}, ["checkpoint_dir is 3", "a string"]),
        ({"seed": None}, ["seed is None", "an integer"]),
        ({"attn_dropout_prob": 1.0}, ["attn_dropout_prob is 1.0", "[0, 1)"]),
        ({"train_targets": "some"}, ["train_targets is 'some'", "one of all, cut"]),
        ({"min_history": 0}, ["min_history is 0", "an integer of at least 1"]),
        ({"metrics": ["Recal"]}, ["metrics has 'Recal'", "expected some of", "did you mean Recall"]),
        ({"metrics": ["Hit"]}, ["valid_metric is 'Recall@20'", "Hit@20, Hit@40"]),
        ({"topk": 10}, ["valid_metric is 'Recall@20'", "Recall@10, NDCG@10"]),
        ({"valid_metric": "Recall"}, ["valid_metric is 'Recall'", "Recall@20"]),
        ({"metrics": ["AUC", "Recall"]}, ["Ranking metrics and value metrics"]),
        ({"hidden_size": 63}, ["hidden_size is 63", "expected a multiple of n_heads = 2"]),
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
        ({"loss_type": "BPR", "train_neg_sample_args": 3}, ["train_neg_sample_args is 3", "a mapping"]),
    ],
    ids=str,
)
def test_invalid_values_raise_an_error(settings, parts):
    with config_error(*parts):
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
def test_valid_values_are_accepted(settings):
    make(**settings)


def test_several_invalid_values_raise_one_error():
    with pytest.raises(ConfigError) as error:
        make("SIGMA", epochs=0, kl_weight=-1, use_gpu=1, position="up")
    assert sorted(str(error.value).splitlines()) == [
        "epochs is 0; expected an integer of at least 1",
        "kl_weight is -1; expected a finite number of at least 0.0",
        "position is 'up'; expected one of relative, rotary, absolute",
        "use_gpu is 1; expected true or false",
    ]


def test_rules_and_combinations_of_a_model_hold():
    for value, expected in [(1, "at least 2"), (13, "lucky"), (None, "at least 2")]:
        with config_error(f"toy_size is {value}", expected):
            Config(Toy, "ml-100k", config_dict={"toy_size": value})
    with config_error("toy_size is None", "at least 2"):
        Config(Toy, "ml-100k")
    with config_error("hidden_size is 62", "multiple of n_heads"):
        make("SIGMA", hidden_size=62, n_heads=4)


@pytest.fixture
def checked(monkeypatch):
    """Keys in the order in which their values are checked."""
    keys, check = [], rules.Rule.check
    monkeypatch.setattr(rules.Rule, "check", lambda rule, key, value: keys.append(key) or check(rule, key, value))
    return keys


def test_each_key_is_checked_once_until_a_model_is_built(checked):
    given = {"kl_weight": 1.0, "learning_rate": 0.1, "epochs": 3, "use_gpu": False}
    config = make("SIGMA", **given)
    config["run_id"] = "a run"
    SIGMA(config, Catalog(9))
    assert sorted(checked) == sorted({*SIGMA.rules, *given})


def test_a_model_checks_settings_that_were_not_checked_for_it(checked):
    config = make("SIGMA", use_gpu=False)
    config["hidden_size"] = 63
    with config_error("hidden_size is 63", "multiple of n_heads = 2"):
        SIGMA(config, Catalog(9))
    config["hidden_size"], config["loss"] = 64, "some"
    with config_error("loss is 'some'", "full, sampled"):
        SIGMA(config, Catalog(9))
    config["loss"] = "full"
    checked.clear()
    SIGMA(config, Catalog(9))
    assert sorted(checked) == sorted(SIGMA.rules)
    config = make("SASRecAP", use_gpu=False, temperature=2.0)
    assert SIGMA(config, Catalog(9)).temperature == 2.0
    assert config["num_categories"] == 4  # a default that a Config of another model lacks


def test_a_model_of_a_user_has_the_defaults_of_all_next_item_models():
    config = make(GRU, cell="gru", use_gpu=False)
    assert next_item_defaults(None).items() - {("train_neg_sample_args", None)} <= config.final_config_dict.items()
    model = GRU(config, Catalog(21))
    assert (model.item_embedding.weight.shape, model.loss, model.num_negatives) == ((21, 64), "full", 1000)
    assert model.calculate_loss(all_positions([3, 7, 12], [5, 9])).isfinite()
    with config_error("cell is None", "one of gru"):
        make(GRU)
    with config_error("n_heads (in config_dict) is a key of", "not of GRU"):
        make(GRU, cell="gru", n_heads=2)
    assert make(GRU, cell="gru", temperature=0.5)["temperature"] == 0.5


def test_other_errors_of_recbole_keep_their_message_and_cause():
    with pytest.raises(ConfigError, match="Full sort evaluation do not match") as error:
        make("BPR", metrics=["AUC"], valid_metric="AUC")
    assert isinstance(error.value.__cause__, NotImplementedError)


# Stock models


@pytest.mark.parametrize("model", "SASRec BERT4Rec GRU4Rec BPR LightGCN Pop S3Rec DIN GRU4RecKG ItemKNN SIGMA".split())
def test_every_kind_of_model_is_evaluated_alike(model):
    for dataset in ("ml-100k", "unheard-of"):  # RecBole has files of its own for ml-100k
        config = make(model, dataset)
        assert config["metrics"] == ["Recall", "NDCG"] and config["eval_args"]["split"] == {"LS": "valid_and_test"}
        assert config["valid_metric"] == "Recall@20" and config["remove_seen"] is True
        assert config["repeatable"] is (config["MODEL_TYPE"].name == "SEQUENTIAL")
        assert "timestamp" in config["load_col"]["inter"]


def test_data_sets_are_filtered_as_in_the_paper():
    for dataset in DATASETS:
        for config in (make("SIGMA", dataset), make("BPR", dataset)):
            assert (config["user_inter_num_interval"], config["item_inter_num_interval"]) == ("[5,inf)", "[5,inf)")
            assert config["MAX_ITEM_LIST_LENGTH"] == (100 if dataset.startswith("ml-") else 50)
            assert config["val_interval"] == ({"rating": "[4,inf)"} if dataset.startswith("ml-") else None)
            assert "timestamp" in config["load_col"]["inter"] and not config["normalize_all"]


def test_every_model_of_recbole_accepts_its_own_defaults():
    for name in set(known_models()) - {"LightGBM", "XGBoost"}:
        config = make(name)
        own = read_yaml(Path(inspect.getfile(RecBoleConfig)).parents[1] / "properties" / "model" / f"{name}.yaml")
        own.pop("train_neg_sample_args", None)
        make(name, **{key: value for key, value in own.items() if config[key] == value})


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
    fill_defaults(config, next_item_defaults("SIGMA"))
    assert (config["n_layers"], config["num_categories"], config["hidden_size"]) == (3, 4, 64)
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


def test_a_general_model_that_repeats_items_has_to_rank_those_seen_before():
    with pytest.raises(ConfigError, match="repeatable is true.*set remove_seen: false as well"):
        make("BPR", repeatable=True)
    assert make("BPR", repeatable=True, remove_seen=False)["repeatable"]
    assert make("SASRec")["repeatable"] and make("SASRec")["remove_seen"]


def test_tree_models_raise_an_error():
    class Forest(GeneralRecommender):
        type = ModelType.DECISIONTREE

    with pytest.raises(ConfigError, match="Forest is a tree model"):
        Config(Forest, "ml-100k")


def test_two_columns_of_one_name_raise_an_error():
    with pytest.raises(ConfigError, match="ITEM_LIST_LENGTH_FIELD is 'user_id', as USER_ID_FIELD is"):
        Config("SIGMA", "ml-100k", config_dict={"ITEM_LIST_LENGTH_FIELD": "user_id"})
