"""The plugin's YAML files: keys that models read, values that follow their rules, and presets."""

import pytest

from recbole_sigma import defaults
from recbole_sigma.config import Config, config, keys
from recbole_sigma.config.keys import core_keys
from recbole_sigma.defaults import next_item_defaults, own_folder, read_own, read_yaml
from recbole_sigma.errors import ConfigError
from recbole_sigma.model import MODELS, SIGMA
from recbole_sigma.rules import rule_for
from tests.model.helpers import NUM_ITEMS, RECBOLE, Catalog

VARIANTS = [
    {},
    {"prior": "standard"},
    {"scorer": "interests"},
    {"decoder_context": "interests"},
    {"posterior": "target"},
    {"components": "own"},
]
"""Settings with which a model reads others."""

PRESETS = {path.name[: -len(".yaml")]: read_yaml(path) for path in (own_folder("properties") / "presets").iterdir()}

NOT_PINNED = {
    "load_col": "the data set decides",
    "drop_duplicates": "the data set decides",
    "title_field": "changes no number",
    "category_field": "the data set decides",
    "seed": "a result is a mean over seeds",
    "seeds": "a result is a mean over seeds",
    "train_neg_sample_args": "the loss draws its own negatives",
    "metrics": "selects numbers and changes none",
    "topk": "selects numbers and changes none",
    "eval_batch_size": "changes no number",
    "checkpoint": "replaces training",
    "resume": "changes no number",
}
"""Defaults that SIGMA-paper leaves open, and why."""


class Recorded(dict):
    """Settings that were checked for a model, and the keys that it reads."""

    def __init__(self, settings, model):
        super().__init__(settings)
        self.checked_for, self.read = MODELS[model], set()

    def __getitem__(self, key):
        self.read.add(key)
        return super().__getitem__(key)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_reads_what_its_files_declare_and_nothing_else(model):
    declared = next_item_defaults(model)
    read = set()
    for variant in VARIANTS:
        settings = Recorded({**RECBOLE, **declared, **variant}, model)
        MODELS[model](settings, Catalog(NUM_ITEMS))
        read |= settings.read - keys.NOT_SETTABLE.keys()
    assert read - declared.keys() <= core_keys()
    assert declared.keys() - read <= core_keys()


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_of_a_model_has_a_rule_and_a_default_that_follows_it(model):
    declared = next_item_defaults(model)
    rules = MODELS[model].rules
    assert set(declared) - core_keys() == set(rules)
    for key, rule in rules.items():
        rule.check(key, declared[key])


def test_every_default_follows_its_rule():
    folder = own_folder("dataset_configs")
    files = [read_own("properties", name) for name in ("overall", "sequential", "next_item")]
    files += [read_yaml(path) for path in folder.iterdir() if path.name.endswith(".yaml")]
    assert all(files)
    for settings in files:
        for key, value in settings.items():
            rule = rule_for(key, value, value)
            if rule is not None:
                rule.check(key, value)


def test_presets_name_settings_of_their_model_and_are_found_without_a_path():
    assert PRESETS
    for name, preset in PRESETS.items():
        found = Config(name.partition("-")[0], "ml-100k", config_file_list=[name])
        eval_args = {**preset["eval_args"], "mode": dict.fromkeys(("valid", "test"), preset["eval_args"]["mode"])}
        assert {key: found[key] for key in preset} == {**preset, "eval_args": eval_args}


def test_sigma_paper_pins_every_setting_that_decides_a_number():
    declared = {*read_own("properties", "overall"), *next_item_defaults("SIGMA")}
    assert declared - PRESETS["SIGMA-paper"].keys() == NOT_PINNED.keys()
    assert SIGMA.rules.keys() <= PRESETS["SIGMA-paper"].keys()


@pytest.mark.parametrize("dataset", ["ml-100k", "amazon-beauty", "unheard-of"])
def test_no_default_of_a_pinned_setting_moves_sigma_paper(dataset, monkeypatch):
    expected = Config("SIGMA", dataset, ["SIGMA-paper"]).plain_dict()
    for module in (config, keys, defaults):
        monkeypatch.setattr(module, "read_own", _without_pinned)
    assert Config("SIGMA", dataset, ["SIGMA-paper"]).plain_dict() == expected
    with pytest.raises(ConfigError, match="num_categories is None"):
        Config("SIGMA", dataset)


def _without_pinned(*names):
    return {key: value for key, value in read_own(*names).items() if key not in PRESETS["SIGMA-paper"]}


def test_a_file_of_the_user_goes_before_a_preset_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "SIGMA-paper").write_text("epochs: 7\n")
    found = Config("SIGMA", "ml-100k", config_file_list=["SIGMA-paper"])
    assert found["epochs"] == 7 and found["hidden_size"] == 64
