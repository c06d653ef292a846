"""NaN and infinite numbers stop a run with an error that names the best checkpoint."""

import numpy as np
import pytest
import torch

from recbole_sigma.errors import TrainingError
from recbole_sigma.training import checkpoint
from recbole_sigma.training.finite import FiniteCheck


@pytest.mark.parametrize("model, method", [("SIGMA", "item_loss"), ("BPR", "calculate_loss")])
def test_a_loss_that_is_nan_stops_the_run_and_keeps_the_best_checkpoint(make, monkeypatch, model, method):
    trainer, (train, valid, _) = make(model, epochs=3)
    compute, steps = getattr(trainer.model, method), []
    calls_per_step = 2 if model == "SIGMA" else 1  # one for each of its two decoders

    def breaks_in_the_second_epoch(*args, **kwargs):
        steps.append(1)
        loss = compute(*args, **kwargs)
        return loss * np.nan if len(steps) == calls_per_step * len(train) + 1 else loss

    monkeypatch.setattr(trainer.model, method, breaks_in_the_second_epoch)
    with pytest.raises(TrainingError, match="nan at epoch 1, step 0") as stop:
        trainer.fit(train, valid)
    assert trainer.saved_model_file in str(stop.value)
    assert checkpoint.load(trainer.saved_model_file)["epoch"] == 0


def test_a_loss_that_is_infinite_from_the_start_leaves_no_checkpoint(make):
    trainer, (train, valid, _) = make(epochs=3, temperature=1e-40)
    with pytest.raises(TrainingError, match=r"(inf|nan) at epoch 0, step 0. Best checkpoint so far: none was saved"):
        trainer.fit(train, valid)


def test_parameters_that_are_nan_stop_a_run_whose_losses_were_finite(make):
    trainer, (train, valid, _) = make(epochs=3)
    batches, steps = len(train), []

    def broken_at_the_end_of_the_second_epoch(gradient):
        steps.append(1)
        return gradient * np.nan if len(steps) == 2 * batches else gradient

    trainer.model.sequence.embed.norm.bias.register_hook(broken_at_the_end_of_the_second_epoch)
    with pytest.raises(TrainingError, match="parameter embed.norm.bias is no longer finite after epoch 1"):
        trainer.fit(train, valid, verbose=False)
    assert checkpoint.load(trainer.saved_model_file)["epoch"] == 0


def test_losses_of_a_gpu_are_checked_after_the_epoch_and_the_first_bad_step_is_named():
    check = FiniteCheck(lambda: "best.pth")
    check.begin_epoch(3, step=2)  # an epoch that resumed after two steps
    check.check_losses(torch.tensor([1.0, 2.0, 3.0]))
    with pytest.raises(TrainingError, match="inf at epoch 3, step 1. Best checkpoint so far: best.pth"):
        check.check_losses(torch.tensor([1.0, float("inf"), float("nan")]))
