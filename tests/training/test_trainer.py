"""Trainers of every kind save models that give the same results, test the best one, and refuse what they cannot do."""

import pytest
import torch

from recbole_sigma import run_recbole_sigma
from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders
from recbole_sigma.data.loaders import SequenceDataLoader
from recbole_sigma.errors import ConfigError
from recbole_sigma.model import SIGMA
from recbole_sigma.training import checkpoint
from recbole_sigma.training.trainer import ResumableTrainer
from tests.training.conftest import SMALL


def test_a_model_of_the_user_trains_on_all_positions_too(toy_path):
    class Mine(SIGMA):
        pass

    config = Config(Mine, "toy", config_dict={"data_path": str(toy_path)})
    assert config["num_categories"] == 4
    assert isinstance(create_loaders(config, create_dataset(config))[0], SequenceDataLoader)


def test_mixed_precision_of_recbole_is_refused_for_models_of_the_plugin(make):
    with pytest.raises(ConfigError, match="enable_amp is not for SIGMA; expected precision: bf16"):
        make(enable_amp=True)


@pytest.mark.parametrize("model", ["EASE", "ItemKNN", "RecVAE", "BPR"])
def test_a_saved_model_gives_the_same_results(make, model):
    """Trainers of every kind save their model and load it again, arrays and sparse matrices included."""
    trainer, (train, valid, test) = make(model, epochs=1)
    assert isinstance(trainer, ResumableTrainer)
    trainer.fit(train, valid, verbose=False)
    expected = trainer.evaluate(test, load_best_model=False)
    other, (_, _, test) = make(model, epochs=1)
    assert other.evaluate(test, model_file=trainer.saved_model_file) == expected


@pytest.mark.parametrize("model", ["SIGMA", "BPR"])
def test_the_best_model_is_what_is_tested_not_the_last_one(make, monkeypatch, model):
    trainer, (train, valid, test) = make(model, epochs=4)
    scores, states = iter([0.1, 0.3, 0.2, 0.1]), []

    def scripted(*args, **kwargs):
        states.append({name: value.clone() for name, value in trainer.model.state_dict().items()})
        return next(scores), {"recall@20": 0.0}

    monkeypatch.setattr(trainer, "_valid_epoch", scripted)
    trainer.fit(train, valid, verbose=False)
    trainer.evaluate(test)
    for name, value in trainer.model.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(value, states[1][name]), name
    assert any(not torch.equal(states[1][name], states[3][name]) for name in states[1])


def test_resuming_a_checkpoint_is_refused(make):
    trainer, _ = make()
    with pytest.raises(ConfigError, match="cannot be resumed"):
        trainer.resume_checkpoint("any.pth")


def test_settings_of_a_checkpoint_rebuild_its_model(make):
    trainer, (train, valid, _) = make(epochs=1)
    trainer.fit(train, valid, verbose=False)
    saved = checkpoint.load(trainer.saved_model_file)
    model = SIGMA(trainer.config, train.dataset)
    checkpoint.restore(model, saved, trainer.saved_model_file, "SIGMA", trainer.metadata)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert saved["config"]["hidden_size"] == 8


def test_a_split_without_validation_trains_to_the_end_and_tests_the_last_model(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"data_path": str(toy_path), "epochs": 2, "eval_args": {"split": {"LS": "test_only"}}, **SMALL}
    result = run_recbole_sigma("SIGMA", "toy", config_dict=settings)
    assert result["best_valid_result"] is None and result["test_result"] and result["epochs"] == 2
