"""Keys that the models read against keys that their files declare."""

import inspect
import re

import pytest

from recbole_sigma.config import Config
from recbole_sigma.config.keys import core_keys
from recbole_sigma.defaults import own_folder, read_own, read_yaml
from recbole_sigma.model import MODELS


@pytest.mark.parametrize("model", MODELS)
def test_a_model_reads_what_its_file_declares_and_nothing_else(model):
    own = [parent for parent in MODELS[model].__mro__ if parent.__module__.startswith("recbole_sigma.")]
    read = set(re.findall(r'config\["(\w+)"\]', "".join(inspect.getsource(parent) for parent in own)))
    declared = set(read_own("properties", "model", model))
    assert read - declared <= core_keys()
    assert declared - read <= core_keys()


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_of_a_model_has_a_rule_and_a_default_that_follows_it(model):
    declared = read_own("properties", "model", model)
    rules = MODELS[model].rules
    assert set(declared) - core_keys() == set(rules)
    for key, rule in rules.items():
        rule.check(key, declared[key])


def test_presets_name_settings_of_their_model_and_are_found_without_a_path():
    presets = list((own_folder("properties") / "presets").iterdir())
    assert presets
    for path in presets:
        name = path.name[: -len(".yaml")]
        config = Config(name.split("-")[0], "ml-100k", config_file_list=[name])
        assert all(config[key] == value for key, value in read_yaml(path).items())


def test_a_file_of_the_user_goes_before_a_preset_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "SIGMA-paper").write_text("epochs: 7\n")
    config = Config("SIGMA", "ml-100k", config_file_list=["SIGMA-paper"])
    assert config["epochs"] == 7 and config["hidden_size"] == 64
