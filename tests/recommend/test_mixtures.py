"""SIGMA whose interests rank, in use: scores, explanations, and what needs vectors and is refused."""

import pytest
import torch

import recbole_sigma
from recbole_sigma.errors import RequestError
from recbole_sigma.export import export_checkpoint
from recbole_sigma.layers.packing import Packing
from recbole_sigma.report import write_report

HISTORY = ["i1", "i2", "i30", "i2"]
KINDS = {
    "target": {"posterior": "target", "kl_weight": 1.0},
    "components": {"components": "own", "component_share": 0.5},
}


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(train_toy, request):
    return train_toy("SIGMA", **KINDS[request.param], num_categories=3, initializer_range=0.5, category_temperature=1.0)


@pytest.fixture(scope="module")
def rec(checkpoint):
    return recbole_sigma.load(checkpoint, "cpu")


@torch.no_grad()
def parts_of_probability(rec):
    """Probability of every item after the history, by interest, in float64: ``[K, V - 1]``."""
    ids = torch.from_numpy(rec.catalog.ids(HISTORY))
    packing = Packing(torch.tensor([len(ids)]))
    users = rec.model.encode_users(ids, packing)[0].double()
    weights = rec.model.mixture_weights(ids, packing)[0].double()
    return weights.unsqueeze(1) * (users @ rec.model.item_vectors[1:].double().T).softmax(1)


def test_recommendations_are_the_most_probable_items_of_the_mixture(rec):
    probability = parts_of_probability(rec).sum(0)
    unseen = [number for number in range(40) if rec.catalog.tokens[1 + number] not in HISTORY]
    best = sorted(unseen, key=lambda number: -probability[number])[:5]
    (one,) = rec.recommend([HISTORY], k=5)
    assert one.items == rec.catalog.tokens[1:][best].tolist()
    assert one.scores == pytest.approx(probability[best].log().tolist(), rel=1e-5)


def test_an_explanation_names_the_interest_with_the_largest_part_of_the_probability(rec):
    explanation = rec.explain(HISTORY, k=5)
    parts = parts_of_probability(rec)
    ids = rec.catalog.ids(explanation.recommendation.items)
    assert explanation.closest_interest == parts[:, ids - 1].argmax(0).tolist()
    assert len(explanation.because) == 5 and explanation.interests


def test_what_needs_products_of_vectors_is_refused_with_the_reason(rec, checkpoint, tmp_path):
    with pytest.raises(RequestError, match="no vectors of users and items to search: its score is a mixture"):
        rec.index()
    with pytest.raises(RequestError, match="its score is a mixture"):
        export_checkpoint(checkpoint, "torch", tmp_path / "exported")


def test_a_report_shows_it(checkpoint, tmp_path):
    pytest.importorskip("plotly", reason="the extra report is not installed")
    page = write_report(checkpoint, tmp_path / "report.html").path.read_text()
    assert "Do the explanations hold?" in page
