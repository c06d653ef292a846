"""The loss of an epoch is a mean over its targets; each term is in the history, the log and TensorBoard."""

import re

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recbole_sigma import run_recbole_sigma
from recbole_sigma.errors import TrainingError
from recbole_sigma.model.base import StepLoss
from recbole_sigma.training import checkpoint
from recbole_sigma.training.epoch_loss import StepLosses

SIGMA_WEIGHTS = {"kl_weight": 0.3, "mie_weight": 0.7, "mie_kl_weight": 0.2, "orth_weight": 2.0}


def recorded(model, monkeypatch):
    """The ``LossTerms`` of all batches from now on."""
    batches, loss_terms = [], model.loss_terms

    def recording(batch):
        terms = loss_terms(batch)
        batches.append(terms)
        return terms

    monkeypatch.setattr(model, "loss_terms", recording)
    return batches


def test_loss_and_terms_are_means_over_the_targets_of_the_epoch(make, monkeypatch):
    """By the definition: sums of all batches by the number of their targets, values by the number of steps."""
    trainer, (train, _, _) = make("SIGMA", train_batch_size=7, **SIGMA_WEIGHTS)
    batches = recorded(trainer.model, monkeypatch)
    loss = trainer._train_epoch(train, 0)
    num_targets = sum(batch.num_targets for batch in batches)
    mean = {name: sum(batch.sums[name].item() for batch in batches) / num_targets for name in batches[0].sums}
    assert list(mean) == ["interests/ce", "interests/kl", "sequence/ce", "sequence/kl"]
    mean["orthogonality"] = sum(batch.values["orthogonality"].item() for batch in batches) / len(batches)
    (entry,) = trainer.history
    assert entry["unit"] == "nats per target"
    assert entry["terms"] == pytest.approx(mean, rel=1e-5)
    total = 0.7 * (mean["interests/ce"] + 0.2 * mean["interests/kl"]) + 2 * mean["orthogonality"]
    total += mean["sequence/ce"] + 0.3 * mean["sequence/kl"]
    assert entry["train_loss"] == loss == pytest.approx(total, rel=1e-5)


def test_a_mean_over_targets_does_not_depend_on_the_number_of_batches(make, monkeypatch):
    """Batches of at most 16 items: their number differs between epochs."""
    trainer, (train, _, _) = make("SASRecAP", train_batch_tokens=16)
    batches = recorded(trainer.model, monkeypatch)
    numbers = set()
    for epoch in range(3):
        batches.clear()
        loss = trainer._train_epoch(train, epoch)
        numbers.add(len(batches))
        targets = sum(batch.num_targets for batch in batches)
        assert loss == pytest.approx(sum(batch.sums["ce"].item() for batch in batches) / targets, rel=1e-5)
    assert numbers != {len(train)}


def test_the_loss_of_a_model_of_recbole_is_the_sum_over_steps(make, monkeypatch):
    trainer, (train, _, _) = make("BPR")
    steps, calculate = [], trainer.model.calculate_loss

    def recording(interaction):
        steps.append(calculate(interaction))
        return steps[-1]

    monkeypatch.setattr(trainer.model, "calculate_loss", recording)
    assert trainer._train_epoch(train, 0) == pytest.approx(sum(step.item() for step in steps))
    (entry,) = trainer.history
    assert entry["train_loss"] == pytest.approx(sum(step.item() for step in steps))
    assert entry.keys() == {"epoch", "train_loss", "seconds", "valid"}


@pytest.mark.parametrize("model", ["SIGMA", "SASRecAP", "BPR"])
def test_every_term_is_in_the_log_and_in_tensorboard_with_its_unit(toy_path, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    settings = {"data_path": str(toy_path), "epochs": 2, "loss_decimal_place": 6}
    result = run_recbole_sigma(model, "toy", config_dict=settings if model == "BPR" else {**settings, **SMALL})
    history = checkpoint.load(result["checkpoint"])["history"]
    lines = re.findall(r"epoch (\d) training \[time: [\d.]+s, train loss: (.*)\]", open(result["log"]).read())
    assert [int(epoch) for epoch, _ in lines] == [0, 1]
    for entry, (_, line) in zip(history, lines):
        assert line == expected_line(entry)
    (folder,) = (tmp_path / "log_tensorboard").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("Loss/")]
    found = {tag: [event.value for event in events.Scalars(tag)] for tag in tags}
    expected = [expected_scalars(entry) for entry in history]
    assert found == {tag: pytest.approx([scalars[tag] for scalars in expected], rel=1e-6) for tag in expected[0]}


SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10}


def expected_line(entry):
    loss = f"{entry['train_loss']:.6f}"
    if "unit" not in entry:
        return loss
    terms = {name: f"{name}: {value:.6f}" for name, value in entry["terms"].items()}
    orthogonality = terms.pop("orthogonality", None)
    line = f"{loss} nats per target; terms in nats per target: {', '.join(terms.values())}"
    return line + (f"; terms without unit: {orthogonality}" if orthogonality else "")


def expected_scalars(entry):
    if "unit" not in entry:
        return {"Loss/Train": entry["train_loss"]}
    named = {
        f"Loss/{name}" + ("" if name == "orthogonality" else " (nats per target)"): value
        for name, value in entry["terms"].items()
    }
    return {"Loss/Train (nats per target)": entry["train_loss"], **named}


def test_steps_with_other_terms_are_refused():
    losses = StepLosses()
    losses.add(StepLoss(torch.tensor(1.0), {"ce": torch.tensor(1.0)}))
    with pytest.raises(TrainingError, match="gave ce, kl in one step, and ce in the steps before; expected the same"):
        losses.add(StepLoss(torch.tensor(1.0), {"ce": torch.tensor(1.0), "kl": torch.tensor(0.0)}))


def test_a_model_without_terms_has_a_loss_and_its_unit():
    """As those of the adapter for the old base class."""
    losses = StepLosses()
    for value in (1.0, 2.0):
        losses.add(StepLoss(torch.tensor(value)))
    mean = losses.mean(2)
    assert mean.history_entry() == {"train_loss": 1.5, "unit": "nats per target", "terms": {}}
    assert mean.add_to_line("[train loss: 1.50]", 2) == "[train loss: 1.50 nats per target]"
