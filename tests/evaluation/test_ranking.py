"""The best items of the catalog against an argsort of all scores in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_sigma.evaluation import ranking, top_items


def random_integers(*shape):
    """Their products are exact in float32, and many of them are equal."""
    return torch.randint(-30, 30, shape).float()


def random_pairs(num_rows, num_items, share):
    return torch.rand(num_rows, num_items).lt(share).nonzero(as_tuple=True)


def all_scores(users, items, excluded=None):
    scores = torch.einsum("bkd,vd->bkv", users.double(), items.double()).amax(1)
    scores[:, 0] = -math.inf
    if excluded is not None:
        scores[excluded] = -math.inf
    return scores


def assert_best_first(found, scores):
    """Items of the highest scores, no item twice; items of equal scores may be in any order."""
    expected = scores.sort(1, descending=True).values[:, : found.shape[1]]
    assert torch.equal(scores.gather(1, found), expected)
    assert all(len(set(row)) == len(row) for row in found.tolist())


@given(
    most_items=st.sampled_from([40, 400, 4000]),
    longest_list=st.sampled_from([8, 60, 4000]),
    share_excluded=st.sampled_from([0.0, 0.1, 0.9]),
    tile=st.sampled_from([None, 32, 50, 256, 3000]),
    tile_scores=st.sampled_from([2**23, 1000]),  # all rows at once, or a few
    seed=st.integers(0, 2**32),
)
def test_any_shape_gives_the_items_of_an_argsort(most_items, longest_list, share_excluded, tile, tile_scores, seed):
    torch.manual_seed(seed)
    num_rows, num_vectors, size, num_items = (int(torch.randint(1, most, ())) for most in (9, 5, 20, most_items))
    k = int(torch.randint(1, min(num_items, longest_list) + 1, ()))
    users, items = random_integers(num_rows, num_vectors, size), random_integers(num_items, size)
    excluded = random_pairs(num_rows, num_items, share_excluded)
    order = torch.randint(len(excluded[0]), (2 * len(excluded[0]),)) if len(excluded[0]) else []
    excluded = tuple(torch.cat([index, index[order]]) for index in excluded)  # most of them several times, in no order
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "TILE_SCORES", tile_scores)
        found = top_items(users, items, k, excluded, tile).items
    assert_best_first(found, all_scores(users, items, excluded))


@pytest.mark.parametrize("tile", [None, 64, 1024])
def test_scores_without_ties_have_one_order(tile):
    torch.manual_seed(0)
    users, items = torch.randn(20, 3, 16).double(), torch.randn(3001, 16).double()
    excluded = random_pairs(20, 3001, 0.2)
    scores, expected = (part[:, :25] for part in all_scores(users, items, excluded).sort(1, descending=True))
    found = top_items(users, items, 25, excluded, tile)
    assert torch.equal(found.items, expected)
    torch.testing.assert_close(found.scores, scores)


def test_a_list_as_long_as_the_catalog_ends_with_the_padding_and_the_excluded_items():
    torch.manual_seed(0)
    for num_items in (31, 32, 33, 64, 65, 1000):  # about the width of a tile
        users, items = random_integers(5, 2, 8), random_integers(num_items, 8)
        excluded = random_pairs(5, num_items, 0.5)
        scores = all_scores(users, items, excluded)
        for k in (num_items - 1, num_items):
            found = top_items(users, items, k, excluded, tile=32).items
            assert_best_first(found, scores)
            assert found.min() >= 0 and found.max() < num_items


def test_a_row_whose_items_are_all_excluded_still_lists_items_of_the_catalog():
    everything = torch.zeros(500, dtype=torch.int64), torch.arange(500)
    found = top_items(torch.randn(2, 1, 4), torch.randn(500, 4), 9, everything).items
    assert len(set(found[0].tolist())) == 9 and found.max() < 500
    assert 0 not in found[1]


def test_equal_scores_are_all_ranked_once():
    found = top_items(torch.ones(2, 1, 3), torch.ones(5000, 3), 40).items
    assert all(len(set(row) - {0}) == 40 for row in found.tolist())


def test_an_infinite_score_is_first_and_no_number_is_above_it_as_in_topk():
    items = torch.arange(3000).float().unsqueeze(1)
    items[1234], items[77] = math.inf, math.nan
    assert top_items(torch.ones(1, 1, 1), items, 3).items.tolist() == [[77, 1234, 2999]]


@pytest.mark.parametrize("excluded", [None, (torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))])
def test_nothing_excluded_leaves_out_the_padding_only(excluded):
    users, items = random_integers(3, 1, 4), random_integers(50, 4)
    items[0] = 0
    assert_best_first(top_items(users, items, 49, excluded).items, all_scores(users, items))


def test_no_rows_give_no_lists():
    assert top_items(torch.ones(0, 1, 3), torch.ones(100, 3), 7).items.shape == (0, 7)


def test_products_run_in_float32_whatever_comes_in_and_under_autocast():
    """Scores 1 and 1 + 2^-12 differ in float32 but not in bfloat16 or float16."""
    users = torch.tensor([[[1.0, 2.0**-12]]])
    items = torch.zeros(200, 2)
    items[:, 0] = 1
    items[150, 1] = 1
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        assert top_items(users.to(dtype), items.to(dtype), 1).items.item() == 150
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert top_items(users, items, 1).items.item() == 150


def test_the_arguments_stay_as_they_are_and_no_gradient_is_recorded():
    users, items = torch.randn(3, 2, 4, requires_grad=True), torch.randn(90, 4, requires_grad=True)
    before = users.detach().clone(), items.detach().clone()
    assert not top_items(users, items, 5).scores.requires_grad
    assert torch.equal(users, before[0]) and torch.equal(items, before[1])


PAIRS = torch.tensor([0, 1]), torch.tensor([3, 4])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"users": torch.ones(2, 4)}, r"users \[2, 4\], items \[10, 4\]; expected users \[B, K, D\]"),
        ({"users": torch.ones(2, 1, 3)}, r"users \[2, 1, 3\], items \[10, 4\]; expected users \[B, K, D\]"),
        ({"users": torch.ones(2, 0, 4)}, "expected at least one vector of a user"),
        ({"k": 0}, "k is 0; expected 1 to 10"),
        ({"k": 11}, "k is 11; expected 1 to 10"),
        ({"tile": 31}, "tile is 31; expected at least 32"),
        ({"excluded": (torch.tensor([0]), torch.tensor([3, 4]))}, r"rows \[1\] and items \[2\]; expected \[P\] twice"),
        ({"excluded": (torch.tensor([0, 2]), torch.tensor([3, 4]))}, "rows are from 0 to 2; expected 0 to 1"),
        ({"excluded": (torch.tensor([0, 1]), torch.tensor([-1, 4]))}, "items are from -1 to 4; expected 0 to 9"),
    ],
)
def test_arguments_that_do_not_fit_raise_an_error(change, message):
    arguments = {"users": torch.ones(2, 1, 4), "items": torch.ones(10, 4), "k": 3, "excluded": PAIRS}
    top_items(**arguments)
    with pytest.raises(ValueError, match=message):
        top_items(**{**arguments, **change})
