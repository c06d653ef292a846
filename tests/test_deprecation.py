"""Old names: each resolves to the new thing and gives one warning that names it."""

import importlib
import warnings

import pytest

from recbole_sigma import deprecation
from recbole_sigma.defaults import next_item_defaults
from recbole_sigma.errors import ConfigError
from recbole_sigma.model import SASRecAP
from recbole_sigma.rules import at_least
from tests.model.helpers import NUM_ITEMS, RECBOLE, SMALL, Catalog

RENAMED = {
    "precision:products": "recbole_sigma.precision.autocast",
    "precision:full": "recbole_sigma.precision.no_autocast",
    "precision:layers": "recbole_sigma.precision.autocast_if_large",
    "settings:at_least": "recbole_sigma.rules.at_least",
    "checkpoint:load": "recbole_sigma.training.checkpoint.load",
    "layers.sequence_input:SequenceInput": "recbole_sigma.layers.transformer.SequenceInput",
    "layers.attention:CausalTransformer": "recbole_sigma.layers.transformer.CausalTransformer",
    "recommend.index:ApproximateRecommender": "recbole_sigma.recommend.recommender.Recommender",
    "quick_start:prepare": "recbole_sigma.quick_start.build_run",
    "quick_start:Prepared": "recbole_sigma.quick_start.RunParts",
    "data:prepare_data": "recbole_sigma.data.create_loaders",
}


@pytest.fixture(autouse=True)
def nothing_warned_yet(monkeypatch):
    monkeypatch.setattr(deprecation, "_warned", set())


@pytest.mark.parametrize("old, new", RENAMED.items())
def test_an_old_name_is_the_new_thing_and_says_so_once(old, new):
    module, _, name = old.partition(":")
    place, _, new_name = new.rpartition(".")
    module = importlib.import_module(f"recbole_sigma.{module}")
    with pytest.warns(FutureWarning, match=f"{name} is now {new}; the old name will be removed"):
        found = getattr(module, name)
    assert found is getattr(importlib.import_module(place), new_name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(module, name) is found
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing


def adapter():
    return importlib.import_module("recbole_sigma.model.all_position").AllPositionRecommender


def test_a_subclass_of_the_old_base_without_a_loss_is_refused_with_the_page_to_read():
    with pytest.warns(FutureWarning, match="is now recbole_sigma.model.base.NextItemRecommender"):
        with pytest.raises(ConfigError, match="Silent derives from AllPositionRecommender.*docs/new-model.md"):
            type("Silent", (adapter(),), {})


def test_settings_that_a_subclass_of_the_old_base_declares_are_checked():
    base = adapter()
    with pytest.warns(FutureWarning):

        class Old(base):
            settings = {**base.settings, "my_key": at_least(1)}
            properties = "SASRecAP"

            def calculate_loss(self, interaction, num_targets=None):
                return self.item_embedding.weight.sum()

    settings = {**RECBOLE, **SMALL}
    with pytest.raises(ConfigError, match="my_key is 0; expected an integer of at least 1"):
        Old({**settings, "my_key": 0}, Catalog(NUM_ITEMS))
    with pytest.raises(ConfigError, match="hidden_size is 9; expected a multiple of n_heads = 2"):
        Old({**settings, "my_key": 1, "hidden_size": 9}, Catalog(NUM_ITEMS))
    model = Old({**settings, "my_key": 1}, Catalog(NUM_ITEMS))
    all_settings = {**next_item_defaults("SASRecAP"), **settings}
    same = SASRecAP(all_settings, Catalog(NUM_ITEMS))
    assert str(model.causal_transformer(all_settings)) == str(same.encoder)
    assert str(model.sequence_input(all_settings)) == str(same.embed)


def test_a_model_that_overrides_the_loss_that_training_does_not_call_is_refused():
    with pytest.raises(ConfigError, match="Silent overrides calculate_loss.*docs/new-model.md"):
        type("Silent", (SASRecAP,), {"calculate_loss": lambda self, interaction: None})
