"""The training section, from the history in a checkpoint."""

from types import SimpleNamespace

import pytest

from recbole_sigma.report.sections.training import training

CONFIG = {"metrics": ["Recall"], "topk": [3], "valid_metric": "Recall@3"}


def section_of(*history):
    entries = [{"epoch": epoch, "seconds": 2.0, "valid": None, **entry} for epoch, entry in enumerate(history)]
    return training(SimpleNamespace(state={"history": entries, "epoch": 1, "config": CONFIG}))


def shown(section):
    """Axis title, x and y of the first line of each plot, by name."""
    figures = {plot.name: plot.figure for plot in section.plots}
    return {
        name: (figure["layout"]["yaxis"]["title"]["text"], figure["data"][0]["x"], figure["data"][0]["y"])
        for name, figure in figures.items()
    }


def test_the_axis_says_the_unit_of_the_loss_and_each_term_has_a_plot():
    entry = {"unit": "nats per target", "valid": {"recall@3": 0.5}}
    section = section_of(
        {**entry, "train_loss": 3.0, "terms": {"sequence/ce": 2.5, "orthogonality": 40.0}},
        {**entry, "train_loss": 2.0, "terms": {"sequence/ce": 1.5, "orthogonality": float("nan")}},
    )
    assert shown(section) == {
        "loss": ("loss, nats per target", [0, 1], [3.0, 2.0]),
        "valid-0": ("Recall", [0, 1], [0.5, 0.5]),
        "term-0": ("sequence/ce", [0, 1], [2.5, 1.5]),
        "term-1": ("orthogonality", [0, 1], [40.0, None]),
    }
    assert [plot.caption for plot in section.data["terms"]] == ["sequence/ce", "orthogonality"]
    assert section.data["unit"] == "nats per target"


@pytest.mark.parametrize("more", [{}, {"unit": None, "terms": None}], ids=["older", "of RecBole's models"])
def test_a_loss_without_a_unit_is_a_sum_over_steps(more):
    section = section_of({"train_loss": 60.0, **more}, {"train_loss": 50.0, **more})
    assert shown(section) == {"loss": ("loss, sum over steps", [0, 1], [60.0, 50.0])}
    assert section.data["terms"] == []


def test_losses_of_two_units_are_two_plots():
    """An older version began the training, and this one resumed it."""
    section = section_of({"train_loss": 60.0}, {"train_loss": 2.0, "unit": "nats per target", "terms": {"ce": 2.0}})
    assert shown(section) == {
        "loss": ("loss, sum over steps", [0], [60.0]),
        "loss-1": ("loss, nats per target", [1], [2.0]),
        "term-0": ("ce", [1], [2.0]),
    }


def test_a_checkpoint_without_history_says_so():
    assert "no record of its training" in training(SimpleNamespace(state={})).missing
