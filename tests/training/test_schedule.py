"""The learning rate of every step is that of the formula, also in resumed runs, and only where it is applied."""

import logging
import math

import pytest
import torch

from recbole_sigma import run_recbole_sigma
from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders
from recbole_sigma.errors import ConfigError
from recbole_sigma.training import checkpoint
from recbole_sigma.training.schedule import Schedule, set_learning_rate
from recbole_sigma.training.trainer import ResumableTrainer
from tests.training.interrupted import differences, finish, outcome, start
from tests.training.test_killed import killed, settings

COSINE = {"learning_rate_schedule": "cosine", "warmup_epochs": 0.5, "learning_rate": 0.02}
NINE_STEPS = {"train_batch_size": 7, "MAX_ITEM_LIST_LENGTH": 50}
"""An epoch of the 60 users of the toy data, whose sequences are not split."""


def formula(kind, peak, epochs, warmup_epochs, steps):
    """The rates of all steps, in one list."""
    rates, total, warm = [], epochs * steps, warmup_epochs * steps
    for number in range(1, total + 1):
        if number <= warm:
            rates.append(peak * number / warm)
        elif kind == "cosine":
            rates.append(0.5 * peak * (1 + math.cos(math.pi * (number - warm) / (total - warm))))
        else:
            rates.append(peak)
    return rates


@pytest.fixture
def recorded(monkeypatch):
    """The learning rates of all steps of Adam."""
    rates, step = [], torch.optim.Adam.step

    def recording(self, *args, **kwargs):
        (rate,) = {group["lr"] for group in self.param_groups}
        rates.append(rate)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", recording)
    return rates


@pytest.mark.parametrize("kind", ["constant", "cosine"])
@pytest.mark.parametrize("warmup_epochs", [0, 0.3, 1, 2.5, 4])
def test_rates_are_those_of_the_formula(kind, warmup_epochs):
    schedule = Schedule(kind, 0.004, 4, warmup_epochs, 7)
    rates = [schedule.at(epoch, step) for epoch in range(4) for step in range(7)]
    assert rates == pytest.approx(formula(kind, 0.004, 4, warmup_epochs, 7), abs=1e-15)
    assert max(rates) <= 0.004 and all(isinstance(rate, float) for rate in rates)


def test_a_cosine_begins_with_a_warm_up_from_zero_is_half_way_in_the_middle_and_ends_at_zero():
    schedule = Schedule("cosine", 1.0, 10, 2, 100)
    assert schedule.at(0, 0) == 1 / 200
    assert schedule.at(0, 99) == 0.5
    assert schedule.at(1, 99) == 1.0
    assert schedule.at(5, 99) == pytest.approx(0.5)
    assert schedule.at(9, 99) == 0.0


def test_an_epoch_of_more_steps_than_expected_keeps_the_last_rate():
    schedule = Schedule("cosine", 1.0, 2, 0, 5)
    assert [schedule.at(0, step) for step in (5, 6)] == [schedule.at(0, 4)] * 2
    assert [schedule.at(1, step) for step in (4, 5, 9)] == [0.0] * 3


def test_every_group_of_an_optimizer_gets_the_rate():
    first, second = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [first]}, {"params": [second], "lr": 5.0}], lr=1.0)
    set_learning_rate(optimizer, 0.25)
    (first + 2 * second).backward()
    optimizer.step()
    assert (first.item(), second.item()) == (0.75, 0.5)


@pytest.mark.parametrize("kind, warmup_epochs", [("cosine", 0), ("cosine", 1.5), ("constant", 2)])
def test_the_steps_of_a_training_have_these_rates(make, recorded, kind, warmup_epochs):
    given = {"learning_rate_schedule": kind, "warmup_epochs": warmup_epochs, "learning_rate": 0.01}
    trainer, (train, valid, _) = make("SASRecAP", epochs=3, **NINE_STEPS, **given)
    trainer.fit(train, valid, verbose=False, saved=False)
    assert recorded == pytest.approx(formula(kind, 0.01, 3, warmup_epochs, 9), abs=1e-15)


def test_steps_by_tokens_have_the_rates_of_their_place_in_the_epoch(make, recorded):
    trainer, (train, valid, _) = make("SASRecAP", epochs=4, train_batch_tokens=16, **COSINE)
    steps_of_epochs, batches = [], train.batches

    def counting(first=0):
        steps = list(batches(first))
        steps_of_epochs.append(len(steps))
        return iter(steps)

    train.batches = counting
    trainer.fit(train, valid, verbose=False, saved=False)
    assert len(set(steps_of_epochs)) > 1, "expected epochs of different lengths"
    expected = formula("cosine", 0.02, 4, 0.5, len(train))
    rates = iter(recorded)
    for epoch, steps in enumerate(steps_of_epochs):
        for step in range(steps):
            place = epoch * len(train) + min(step, len(train) - 1)
            assert next(rates) == pytest.approx(expected[place], abs=1e-15)


def test_without_a_schedule_nothing_touches_the_learning_rate(make, monkeypatch, caplog):
    monkeypatch.setattr("recbole_sigma.training.epoch.set_learning_rate", lambda *_: pytest.fail("set"))
    trainer, (train, valid, _) = make("SASRecAP", epochs=1)
    with caplog.at_level(logging.INFO):
        trainer.fit(train, valid, saved=False)
    assert "learning rate" not in caplog.text


def test_the_rates_of_an_epoch_are_logged(make, monkeypatch, caplog):
    trainer, (train, valid, _) = make("SASRecAP", epochs=2, **NINE_STEPS, **COSINE)
    scalars = []
    monkeypatch.setattr(trainer.tensorboard, "add_scalar", lambda *given: scalars.append(given))
    with caplog.at_level(logging.INFO):
        trainer.fit(train, valid, saved=False)
    rates = formula("cosine", 0.02, 2, 0.5, 9)
    for epoch in range(2):
        first, last = rates[9 * epoch], rates[9 * epoch + 8]
        (line,) = [line for line in caplog.messages if f"epoch {epoch} training" in line]
        assert line.endswith(f"learning rate: {first:.3g} to {last:.3g}]")
        assert ("Learning rate/Last step", pytest.approx(last, abs=1e-15), epoch) in scalars
    assert "to 0]" in line


# Resumed runs -------------------------------------------------------------------------------------------------------


def test_a_run_resumes_to_the_bit_in_the_middle_of_an_epoch(toy_path, tmp_path):
    model = "SASRecAP"
    given = settings(toy_path, model, stopping_step=6, **COSINE)
    assert Config(model, "toy", config_dict=given)["hidden_dropout_prob"] > 0
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    finish(start(whole, model, given), whole)
    assert killed(start(parts, model, given, "in a later epoch", save_seconds=0))
    (path,) = (parts / "saved").glob("*.resume")
    state = checkpoint.load(path, parts={})
    assert (state["epoch"], len(state["step_losses"])) == (1, 2)
    finish(start(parts, model, {**given, "resume": True}), parts)
    assert not differences(outcome(whole), outcome(parts))
    final = torch.load(parts / "final.pt", weights_only=True)
    assert final["optimizers"]["optimizer"]["param_groups"][0]["lr"] == 0.0


@pytest.mark.parametrize(
    "change, named",
    [
        ({"learning_rate_schedule": "constant"}, r"learning_rate_schedule = 'cosine' \(here 'constant'\)"),
        ({"warmup_epochs": 1}, r"warmup_epochs = 0.5 \(here 1\)"),
        ({"epochs": 7}, r"epochs = 6 \(here 7\)"),
    ],
)
def test_a_run_of_another_schedule_is_not_resumed(toy_path, tmp_path, monkeypatch, change, named):
    monkeypatch.chdir(tmp_path)
    given = settings(toy_path, "SASRecAP", **COSINE)

    class Killed(BaseException):
        pass

    def stops(*_, **__):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ResumableTrainer, "_valid_epoch", stops)
        run_recbole_sigma("SASRecAP", "toy", config_dict=given)
    with pytest.raises(ConfigError, match=named):
        run_recbole_sigma("SASRecAP", "toy", config_dict={**given, **change, "resume": True})


# Settings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model, given, message",
    [
        ("SIGMA", {"learning_rate_schedule": "linear"}, "learning_rate_schedule is 'linear'; expected one of constant"),
        ("SIGMA", {"learning_rate_schedule": None}, "learning_rate_schedule is None; expected one of constant"),
        ("SIGMA", {"warmup_epochs": -0.5}, "warmup_epochs is -0.5; expected a finite number of at least 0.0"),
        ("SIGMA", {"warmup_epochs": "two"}, "warmup_epochs is 'two'; expected a finite number of at least 0.0"),
        ("SIGMA", {"warmup_epochs": ".nan"}, "warmup_epochs is nan; expected a finite number"),
        ("SIGMA", {"warmup_epochs": 3, "epochs": 2}, "warmup_epochs is 3; expected at most epochs = 2"),
        ("SASRec", {"learning_rate_schedule": "cosine"}, "learning_rate_schedule is 'cosine'; expected constant for"),
        ("BPR", {"warmup_epochs": 2}, "warmup_epochs is 2; expected 0 for BPR"),
    ],
)
def test_what_is_no_schedule_is_refused(model, given, message):
    with pytest.raises(ConfigError, match=message):
        Config(model, "ml-100k", config_dict=given)


def test_values_that_change_nothing_are_accepted_for_every_model():
    Config("BPR", "ml-100k", config_dict={"learning_rate_schedule": "constant", "warmup_epochs": 0.0})
    Config("SIGMA", "ml-100k", config_dict={"warmup_epochs": 2, "epochs": 2})


def test_in_a_comparison_the_schedule_is_for_the_models_of_the_plugin():
    given = {"learning_rate_schedule": "cosine", "warmup_epochs": 2}
    assert Config("SIGMA", "ml-100k", config_dict=given, companions=["BPR"])["learning_rate_schedule"] == "cosine"
    other = Config("BPR", "ml-100k", config_dict=given, companions=["SIGMA"])
    assert (other["learning_rate_schedule"], other["warmup_epochs"]) == ("constant", 0)
    with pytest.raises(ConfigError, match="learning_rate_schedule is 'cosine'; expected constant for BPR"):
        Config("BPR", "ml-100k", config_dict=given, companions=["SASRec"])


@pytest.mark.parametrize("given", [{"learning_rate_schedule": "cosine"}, {"warmup_epochs": 1}])
def test_rows_that_were_split_in_advance_are_trained_at_a_constant_rate(tmp_path, given):
    (tmp_path / "toy").mkdir()
    for part in ("train", "valid", "test"):
        lines = [f"u{user}\ti1 i2\ti{user}" for user in range(3)]
        text = "\n".join(["user_id:token\titem_id_list:token_seq\titem_id:token", *lines])
        (tmp_path / "toy" / f"toy.{part}.inter").write_text(text + "\n")
    rows = {
        "data_path": str(tmp_path),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id_list", "item_id"]},
        "alias_of_item_id": ["item_id_list"],
        "topk": [2],
        "valid_metric": "Recall@2",
    }
    config = Config("SASRecAP", "toy", config_dict=rows)
    assert create_loaders(config, create_dataset(config))
    config = Config("SASRecAP", "toy", config_dict={**rows, **given})
    with pytest.raises(ConfigError, match="names files of rows, which are trained on at a constant learning rate"):
        create_loaders(config, create_dataset(config))
