"""The test rows of a report are those of evaluation, and so are its numbers."""

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_sigma import load
from recbole_sigma.errors import DataError
from recbole_sigma.recommend.interests import intensities, interests_of_row
from recbole_sigma.report.quantiles import quantile_groups
from recbole_sigma.report.held_out import HeldOut, open_test_rows, rank_test_rows

MODELS = {
    "SIGMA": {"num_categories": 3, "hidden_size": 8, "inner_size": 8},
    "GRU4Rec": {"embedding_size": 8, "hidden_size": 8, "remove_seen": False},
    "BERT4Rec": {"hidden_size": 8, "inner_size": 8, "n_layers": 1},
    "Caser": {"embedding_size": 8},
    "DIN": {"embedding_size": 8, "mlp_hidden_size": [8]},
}


@pytest.mark.parametrize("model", MODELS)
def test_groups_add_up_to_the_test_result(train, model):
    run = train(model, **MODELS[model], metrics=["Recall", "NDCG", "Hit"], metric_decimal_place=8)
    recommender = load(run["checkpoint"])
    held_out = rank_test_rows(recommender, open_test_rows(recommender))
    assert len(run["test_result"]) == 6
    for key, expected in run["test_result"].items():
        values = held_out.metric(key)
        for of in (held_out.length, recommender.catalog.popularity[held_out.target]):
            groups = quantile_groups(of, 5)
            total = sum(len(group.rows) * values[group.rows].mean() for group in groups)
            assert total / len(values) == pytest.approx(expected, abs=1e-7)


def test_rows_are_the_last_items_of_the_users(sigma, titled_path):
    """From the file itself: the last item of each user comes next, after all the others."""
    recommender = load(sigma["checkpoint"])
    held_out = rank_test_rows(recommender, open_test_rows(recommender))
    items_of = {}
    for line in (titled_path / "titled" / "titled.inter").read_text().splitlines()[1:]:
        user, item, _ = line.split("\t")
        items_of.setdefault(user, []).append(item)
    users = recommender.state["metadata"]["tokens"]["user_id"][held_out.user]
    assert sorted(users) == sorted(items_of) and held_out.unit == "users"
    for user, length, target in zip(users, held_out.length, recommender.catalog.tokens[held_out.target]):
        assert (length, target) == (len(items_of[user]) - 1, items_of[user][-1])


def test_a_rank_is_the_number_of_better_items(sigma):
    """One user after the other, by all scores."""
    recommender = load(sigma["checkpoint"], "cpu")
    loader = open_test_rows(recommender)
    held_out = rank_test_rows(recommender, loader)
    for row, (target, rank) in enumerate(zip(held_out.target, held_out.rank)):
        interaction, (_, seen), _, _ = loader.collate_fn([row])
        with torch.no_grad():
            scores = recommender.model.full_sort_predict(interaction)[0]
        scores[0] = scores[seen] = -torch.inf
        place = 1 + int((scores > scores[target]).sum())
        assert rank == (place if place <= 10 else 0)


def test_intensities_of_a_batch_are_those_of_each_history(sigma):
    model = load(sigma["checkpoint"], "cpu").model
    sequences = torch.tensor([[3, 5, 7, 0], [2, 0, 0, 0], [9, 8, 7, 6]])
    rows = Interaction({model.ITEM_SEQ: sequences})
    for row, intensity in enumerate(intensities(model, rows)):
        torch.testing.assert_close(intensity, interests_of_row(model, rows[row : row + 1]).intensity)


def test_recall_and_ndcg_of_a_row():
    held_out = HeldOut(None, *[None] * 3, rank=np.array([1, 3, 4, 0]), intensity=None)
    np.testing.assert_array_equal(held_out.recall(3), [1, 1, 0, 0])
    np.testing.assert_allclose(held_out.ndcg(3), [1, 0.5, 0, 0])
    assert held_out.metric("Precision@3") is None


def test_data_that_are_not_there_are_named_and_not_downloaded(sigma, tmp_path):
    with pytest.raises(DataError, match="titled is not in .*give the folder that contains titled/ with --data_path"):
        open_test_rows(load(sigma["checkpoint"]), tmp_path)


def test_other_data_of_the_same_name_are_refused(sigma, titled_path, tmp_path):
    (tmp_path / "titled").mkdir()
    text = (titled_path / "titled" / "titled.inter").read_text()
    (tmp_path / "titled" / "titled.inter").write_text(text.replace("<i>7\t", "<i>77\t"))
    with pytest.raises(DataError, match="have other users or items than those of the training"):
        open_test_rows(load(sigma["checkpoint"]), tmp_path)


def test_sampled_candidates_are_not_ranked_again(train):
    run = train("SASRecAP", hidden_size=8, inner_size=8, eval_args={"mode": "uni5"}, topk=[3], valid_metric="Recall@3")
    with pytest.raises(DataError, match="the candidates of mode uni5"):
        open_test_rows(load(run["checkpoint"]))
