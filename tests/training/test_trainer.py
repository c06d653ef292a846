"""Safe trainers: every target weighs the same, NaN stops a run, checkpoints survive."""

import copy

import numpy as np
import pytest
import torch

from recbole_sigma import run_recbole_sigma
from recbole_sigma.training import checkpoint
from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, describe, create_loaders
from recbole_sigma.data.loaders import SequenceDataLoader
from recbole_sigma.errors import ConfigError, TrainingError
from recbole_sigma.model import SIGMA
from recbole_sigma.training.trainer import ResumableTrainer, trainer_class

SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10}


@pytest.fixture
def make(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(model="SIGMA", **settings):
        config = Config(model, "toy", config_dict={"data_path": str(toy_path), **settings})
        dataset = create_dataset(config)
        loaders = create_loaders(config, dataset)
        torch.manual_seed(0)
        trainer = trainer_class(config)(config, config.model_class(config, loaders[0].dataset))
        trainer.metadata = describe(dataset, loaders[0].dataset)
        return trainer, loaders

    return make


def test_every_target_weighs_the_same_whatever_the_batches(make):
    """Without noise and dropout, the mean gradient of an epoch is that of one batch of all users."""
    still = {
        "item_dropout_prob": 0.0,
        "hidden_dropout_prob": 0.0,
        "attn_dropout_prob": 0.0,
        "log_var_bias": -60.0,
        "mie_weight": 0.0,
    }
    still.update(orth_weight=0.0, kl_weight=0.0, prior="standard", **SMALL)
    gradients = []
    for batch_size in (1000, 7):
        trainer, (train, _, _) = make(train_batch_size=batch_size, **still)
        model = trainer.model.train()
        for batch in train:
            (model.calculate_loss(batch, train.targets_per_batch) / len(train)).backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("clip", [None, {"max_norm": 0.1}])
def test_an_epoch_is_a_plain_loop_of_pytorch(make, clip):
    trainer, (train, _, _) = make(
        epochs=1, weight_decay=0.01, clip_grad_norm=clip, precision="float32", train_batch_size=7, **SMALL
    )
    model = copy.deepcopy(trainer.model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=trainer.learning_rate, weight_decay=0.01)
    state = train.generator.get_state()
    torch.manual_seed(1)
    losses = []
    for batch in train:
        optimizer.zero_grad()
        loss = model.calculate_loss(batch, train.targets_per_batch)
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        losses.append(loss.item())
    train.generator.set_state(state)
    torch.manual_seed(1)
    assert trainer._train_epoch(train, 0) == pytest.approx(sum(losses), rel=1e-5)
    for (name, value), (_, expected) in zip(trainer.model.named_parameters(), model.named_parameters()):
        if "query_key_value.bias" not in name:  # that of keys has no gradient but rounding errors, which Adam enlarges
            torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-5, msg=name)
    assert trainer.optimizer.defaults["fused"]


def test_a_model_of_the_user_trains_on_all_positions_too(toy_path):
    class Mine(SIGMA):
        pass

    config = Config(Mine, "toy", config_dict={"data_path": str(toy_path)})
    assert config["num_categories"] == 4
    assert isinstance(create_loaders(config, create_dataset(config))[0], SequenceDataLoader)


def test_mixed_precision_of_recbole_is_refused_for_models_of_the_plugin(make):
    with pytest.raises(ConfigError, match="enable_amp is not for SIGMA; expected precision: bf16"):
        make(enable_amp=True, **SMALL)


def test_runs_in_bfloat16_and_float32_agree(make):
    """Losses of every epoch within 1 %, the metric within what two users of 40 make."""
    results = {}
    for precision in ("float32", "bf16"):
        trainer, (train, valid, _) = make(epochs=4, precision=precision, learning_rate=0.01, **SMALL)
        trainer.fit(train, valid, verbose=False, saved=False)
        results[precision] = list(trainer.train_loss_dict.values()), trainer.best_valid_score
    (losses, metric), (losses_in_bf16, metric_in_bf16) = results.values()
    assert losses != losses_in_bf16
    assert losses_in_bf16 == pytest.approx(losses, rel=0.01)
    assert metric_in_bf16 == pytest.approx(metric, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["SIGMA", "SASRecAP"])
def test_compiled_layers_compute_the_same(make, model):
    still = {
        "item_dropout_prob": 0.0,
        "hidden_dropout_prob": 0.0,
        "attn_dropout_prob": 0.0,
        "precision": "float32",
        **SMALL,
    }
    results = []
    for torch_compile in (False, True):
        trainer, (train, _, _) = make(model, torch_compile=torch_compile, train_batch_size=7, **still)
        torch.manual_seed(1)
        results.append((trainer._train_epoch(train, 0), trainer.model.state_dict()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    for name, value in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], value, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("model", ["SIGMA", "BPR"])
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_best_checkpoint(make, monkeypatch, model):
    trainer, (train, valid, _) = make(model, epochs=3, **(SMALL if model == "SIGMA" else {}))
    calculate, steps = trainer.model.calculate_loss, []

    def breaks_in_the_second_epoch(*args, **kwargs):
        steps.append(1)
        loss = calculate(*args, **kwargs)
        return loss * np.nan if len(steps) == len(train) + 1 else loss

    monkeypatch.setattr(trainer.model, "calculate_loss", breaks_in_the_second_epoch)
    with pytest.raises(TrainingError, match="nan at epoch 1, step 0") as stop:
        trainer.fit(train, valid)
    assert trainer.saved_model_file in str(stop.value)
    assert checkpoint.load(trainer.saved_model_file)["epoch"] == 0


def test_a_loss_that_is_infinite_from_the_start_leaves_no_checkpoint(make, monkeypatch):
    trainer, (train, valid, _) = make(epochs=3, **SMALL)
    monkeypatch.setattr(trainer.model, "calculate_loss", lambda *_, **__: torch.tensor(float("inf")))
    with pytest.raises(TrainingError, match="inf at epoch 0, step 0. Best checkpoint so far: none"):
        trainer.fit(train, valid)


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
    trainer, (train, valid, test) = make(model, epochs=4, **(SMALL if model == "SIGMA" else {}))
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


def test_parameters_that_are_no_numbers_stop_a_run_whose_loss_still_was_one(make):
    trainer, (train, valid, _) = make(epochs=3, **SMALL)
    batches, steps = len(train), []

    def broken_at_the_end_of_the_second_epoch(gradient):
        steps.append(1)
        return gradient * np.nan if len(steps) == 2 * batches else gradient

    trainer.model.embed.norm.bias.register_hook(broken_at_the_end_of_the_second_epoch)
    with pytest.raises(TrainingError, match="parameter embed.norm.bias is no longer finite after epoch 1"):
        trainer.fit(train, valid, verbose=False)
    assert checkpoint.load(trainer.saved_model_file)["epoch"] == 0


def test_resuming_is_refused(make):
    trainer, _ = make(**SMALL)
    with pytest.raises(ConfigError, match="cannot be resumed"):
        trainer.resume_checkpoint("any.pth")


def test_settings_of_a_checkpoint_rebuild_its_model(make, toy_path):
    trainer, (train, valid, _) = make(epochs=1, **SMALL)
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
