"""Checkpoints that version 0.1.0 wrote still load, and do what they did."""

import warnings
from html import escape
from pathlib import Path

import pytest
import torch

import recbole_sigma
from recbole_sigma.export import export_checkpoint, load_weights
from recbole_sigma.report import write_report
from tests.invariants.stored import TOLERANCE, check
from tests.model.helpers import last_position

FOLDER = Path(__file__).with_name("checkpoints")
WITH_INTERESTS = ["SIGMA", "SIGMA-interests"]
NAMES = [*WITH_INTERESTS, "SIGMA-standard", "SASRecAP", "GRU4Rec"]
HISTORIES = [["i3", "i7", "i1"], ["i9"], [f"i{number}" for number in range(25)], ["i5", "nothing", "i5"], ["nothing"]]
ROWS = [[3, 7, 7, 12, 1, 20], [5, 9], [20, 4, 11, 3, 8, 2, 6, 13, 10, 16, 1]]
"""Of which the last item is a target that nothing reads."""

every_checkpoint = pytest.mark.parametrize("name", NAMES)
with_interests = pytest.mark.parametrize("name", WITH_INTERESTS)


def path_of(name):
    return FOLDER / f"{name}.pth"


def load(name):
    return recbole_sigma.load(path_of(name), device="cpu")


def fields(one, *names):
    """Entries of a named tuple, by names that may be those of an older version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return [getattr(one, name) for name in names]


def recommended(recommender):
    everyone = recommender.recommend(HISTORIES, k=5)
    return [fields(one, "items", "scores", "unknown", "by_popularity") for one in everyone]


def rows():
    return last_position(*ROWS, width=10)


@torch.no_grad()
def output(model):
    """What an export of the model computes."""
    return model.user_vectors(rows()) if hasattr(model, "user_vectors") else model.full_sort_predict(rows())


@every_checkpoint
def test_it_recommends_and_scores_what_it_did(name):
    recommender = load(name)
    check(f"checkpoints/{name}/recommended", recommended(recommender))
    check(f"checkpoints/{name}/output", output(recommender.model).tolist())


@with_interests
def test_it_explains_as_it_did(name):
    explanation = load(name).explain(HISTORIES[2], k=5, nearest=3)
    interests, recommendation, behind = fields(explanation, "interests", "recommendation", "behind")
    check(
        f"checkpoints/{name}/explained",
        [
            [fields(one, "category", "intensity", "items", "nearest", "spread") for one in interests],
            recommendation.items,
            behind,
        ],
    )


@with_interests
def test_it_has_the_interests_and_the_categories_that_it_had(name):
    recommender = load(name)
    interests = recommender.interests(HISTORIES[0], nearest=4)
    check(
        f"checkpoints/{name}/interests",
        [fields(one, "category", "intensity", "items", "nearest", "spread") for one in interests],
    )
    categories = recommender.categories(typical=3)
    check(
        f"checkpoints/{name}/categories",
        [fields(one, "number", "size", "interactions", "typical", "similarity") for one in categories],
    )


@every_checkpoint
def test_its_report_needs_no_data_and_says_what_its_loss_is(name, tmp_path):
    written = write_report(path_of(name), tmp_path / "report.html", data_path=tmp_path, device="cpu")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "toy" in written.missing and escape(written.missing) in text
    assert "Training loss" in text and "sum over steps" in text


@every_checkpoint
def test_its_program_computes_the_same(name, tmp_path):
    export_checkpoint(path_of(name), "torch", tmp_path / "exported")
    program = torch.export.load(tmp_path / "exported" / "model.pt2").module()
    with torch.no_grad():
        found = program(rows()["item_id_list"])
    torch.testing.assert_close(found, output(load(name).model), rtol=TOLERANCE, atol=TOLERANCE)


@every_checkpoint
def test_its_weights_recommend_the_same(name, tmp_path):
    pytest.importorskip("safetensors")
    export_checkpoint(path_of(name), "safetensors", tmp_path / "exported")
    found = load_weights(tmp_path / "exported", device="cpu")
    assert recommended(found) == recommended(load(name))
