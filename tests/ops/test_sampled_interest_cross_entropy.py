"""The sampled loss against a loop over its draws in float64, and against the statistics that it promises."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recbole_sigma.ops import sampled_interest_cross_entropy
from recbole_sigma.ops.interest_cross_entropy import tiled
from recbole_sigma.ops.interest_cross_entropy.negative_sampling import PROPOSALS, log_probability, sample_negatives
from tests.ops.helpers import (
    REDUCTIONS,
    SEED,
    definition,
    draw,
    generator,
    loss_and_gradients,
    probability,
    random_problem,
    sampled,
    sampled_definition,
)

PROPOSALS_AND_REDUCTIONS = list(itertools.product(PROPOSALS, REDUCTIONS))


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(params=["naive", "held", "anew"])
def impl(request, monkeypatch):
    """The ways of "tiled": forward holds the scores and computes gradients from them, or backward does it anew."""
    if request.param == "anew":
        monkeypatch.setattr(tiled, "HELD_SCORES", 0)
    return "naive" if request.param == "naive" else "tiled"


@pytest.fixture(params=PROPOSALS)
def proposal(request):
    return request.param


# The value -----------------------------------------------------------------------------------------------------------


def assert_follows_loop(problem, weight, impl, **settings):
    expected = loss_and_gradients(sampled_definition, *problem, weight=weight, **settings)
    actual = loss_and_gradients(sampled, *problem, weight=weight, impl=impl, **settings)
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


@given(
    sizes=st.tuples(*map(st.sampled_from, [(1, 3, 6), (1, 2, 4), (1, 5), (1, 3, 7, 40)])),
    num_samples=st.sampled_from([1, 5, 10, 30]),
    tile=st.sampled_from([1, 3, 10]),
    held_scores=st.sampled_from([0, 10**6]),
    settings=st.fixed_dictionaries(
        {
            "proposal": st.sampled_from(PROPOSALS),
            "reduce": st.sampled_from(REDUCTIONS),
            "temperature": st.sampled_from([0.7, 1.0]),
        }
    ),
    equal_weights=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_loss_and_gradients_are_those_of_a_loop_over_the_draws(
    sizes, num_samples, tile, held_scores, settings, equal_weights, seed
):
    """The sizes include more draws than items or than a tile holds, and draws of the target alone."""
    torch.manual_seed(seed)
    problem = random_problem(*sizes)
    weight = None if equal_weights else torch.randn(sizes[0], dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiled, "TILE_ITEMS", tile)
        patch.setattr(tiled, "TILE_SCORES", 2 * tile * sizes[1])
        patch.setattr(tiled, "HELD_SCORES", held_scores)
        for impl in ("naive", "tiled"):
            assert_follows_loop(problem, weight, impl, num_samples=num_samples, **settings)


def test_loss_and_gradients_of_a_large_catalog_are_those_of_a_loop_over_the_draws(impl):
    for (proposal, reduce), (num_interests, num_samples) in zip(PROPOSALS_AND_REDUCTIONS, [(1, 30), (2, 1)] * 2):
        problem = random_problem(7, num_interests, 8, 12_101)
        weight = torch.randn(7, dtype=torch.float64)
        assert_follows_loop(problem, weight, impl, num_samples=num_samples, proposal=proposal, reduce=reduce)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_narrow_inputs_give_the_loss_in_float32(dtype, impl):
    tolerance = 4 * torch.finfo(dtype).eps
    for proposal, reduce in PROPOSALS_AND_REDUCTIONS:
        interests, items, target = random_problem(7, 3, 8, 40, dtype)
        settings = {"num_samples": 30, "proposal": proposal, "reduce": reduce}
        loss, of_interests, of_items = loss_and_gradients(sampled, interests, items, target, impl=impl, **settings)
        exact = sampled_definition(interests.double(), items.double(), target, **settings)
        assert loss.dtype == torch.float32 and of_interests.dtype == of_items.dtype == dtype
        torch.testing.assert_close(loss.double(), exact, rtol=tolerance, atol=tolerance)


def test_gradients_are_the_derivatives(impl):
    for proposal, reduce in PROPOSALS_AND_REDUCTIONS:
        interests, items, target = random_problem(2, 2, 2, 4)
        settings = {"num_samples": 6, "proposal": proposal, "reduce": reduce, "impl": impl}
        inputs = (interests.requires_grad_(), items.requires_grad_())
        assert torch.autograd.gradcheck(lambda u, v: sampled(u, v, target, **settings), inputs)


def test_gradients_reach_drawn_items_and_targets_only(impl):
    for proposal, reduce in PROPOSALS_AND_REDUCTIONS:
        interests, items, target = random_problem(5, 3, 8, 1_000)
        settings = {"num_samples": 50, "proposal": proposal, "reduce": reduce, "impl": impl}
        _, of_interests, of_items = loss_and_gradients(sampled, interests, items, target, **settings)
        reached = {*draw(1_000, 50, proposal), *target.tolist()}
        assert set(of_items.any(1).nonzero().flatten().tolist()) == reached
        assert of_interests.any(2).any(1).all()


def test_draws_of_the_target_alone_leave_it_certain_with_gradients_of_zero(impl):
    interests, items, target = random_problem(4, 3, 8, 1, torch.float32)
    for num_samples in (1, 5):
        for tensor in loss_and_gradients(sampled, interests, items, target, num_samples=num_samples, impl=impl):
            assert torch.equal(tensor, torch.zeros_like(tensor))


def test_layout_of_targets_does_not_matter_and_gives_no_warning(recwarn, impl):
    interests, items, target = random_problem(7, 3, 8, 40)
    settings = {"num_samples": 30, "impl": impl}
    expected = sampled(interests, items, target, **settings)
    strided = torch.stack([target, target], 1)[:, 0]
    torch.testing.assert_close(sampled(interests, items, strided, **settings), expected)
    assert not recwarn.list


def test_no_rows_give_an_empty_loss(impl):
    interests, items, target = random_problem(0, 3, 8, 40)
    loss, _, of_items = loss_and_gradients(sampled, interests, items, target, num_samples=30, impl=impl)
    assert loss.shape == (0,) and not of_items.any()


# The random numbers --------------------------------------------------------------------------------------------------


def test_same_seed_repeats_to_the_bit_and_another_does_not(impl):
    for proposal in PROPOSALS:
        problem = random_problem(7, 3, 8, 1_000, torch.float32)
        settings = {"num_samples": 50, "proposal": proposal, "impl": impl}
        first = loss_and_gradients(sampled, *problem, **settings)
        again = loss_and_gradients(sampled, *problem, **settings)
        assert all(torch.equal(a, b) for a, b in zip(again, first))
        assert not torch.equal(sampled(*problem, **settings, generator=generator(seed=SEED + 1)), first[0])


def test_draws_come_from_the_generator_alone_or_from_pytorchs_by_default(proposal):
    state = torch.get_rng_state()
    given_generator = sample_negatives(1_000, 50, proposal, "cpu", generator())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(SEED)
    by_default = sample_negatives(1_000, 50, proposal, "cpu")
    assert all(torch.equal(a, b) for a, b in zip(given_generator, by_default))


# Statistics ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "num_samples, proposal, reduce",
    [(1, "uniform", "max"), (1, "log-uniform", "sum"), (40, "uniform", "sum"), (40, "log-uniform", "max")],
)
def test_estimated_sum_over_the_catalog_is_right_on_average(num_samples, proposal, reduce):
    """Of the sampler alone: every implementation follows the loop over its draws."""
    trials = 1_000
    interests, items, target = random_problem(4, 2, 8, 20)
    settings = {"num_samples": num_samples, "proposal": proposal, "reduce": reduce, "impl": "naive"}
    relative_sums = torch.stack(
        [sampled_interest_cross_entropy(interests, items, target, **settings).exp() for _ in range(trials)]
    )
    exact = definition(interests, items, target, reduce=reduce).exp()
    standard_error = relative_sums.std(0) / math.sqrt(trials)
    assert (standard_error < 0.2 * exact).all()
    assert ((relative_sums.mean(0) - exact).abs() < 4 * standard_error).all()


def test_loss_tends_to_that_of_the_full_catalog(proposal):
    for reduce in REDUCTIONS:
        problem = random_problem(4, 2, 8, 50)
        exact = definition(*problem, reduce=reduce)
        settings = {"proposal": proposal, "reduce": reduce}
        few, many = (
            (sampled(*problem, num_samples=num_samples, **settings) - exact).abs().max()
            for num_samples in (100, 400_000)
        )
        assert many < 0.01 and many < few / 10


def test_probabilities_of_all_items_sum_to_one_and_are_those_of_the_proposal(proposal):
    for num_items in (1, 2, 50, 12_101):
        actual = log_probability(torch.arange(num_items), num_items, proposal).exp()
        assert actual.dtype == torch.float64
        assert actual.sum().item() == pytest.approx(1, abs=1e-12)
        expected = [probability(row, num_items, proposal) for row in range(num_items)]
        torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=0)


def test_items_are_drawn_with_their_probabilities(proposal):
    draws = 200_000
    for num_items in (2, 50, 1_000):
        rows, _ = sample_negatives(num_items, draws, proposal, "cpu")
        counts = torch.bincount(rows, minlength=num_items)
        assert len(counts) == num_items
        expected = [draws * probability(row, num_items, proposal) for row in range(num_items)]
        assert min(expected) > 5
        assert stats.chisquare(counts.numpy(), expected).pvalue > 1e-3


def test_draws_are_in_ascending_order_and_their_weights_count_them_all(proposal):
    num_items, num_samples = 30, 100
    rows, log_weight = sample_negatives(num_items, num_samples, proposal, "cpu")
    assert rows.shape == log_weight.shape == (num_samples,)
    assert rows.tolist() == sorted(rows.tolist())
    weight = torch.zeros(num_items, dtype=torch.float64).index_add_(0, rows, log_weight.exp())
    for row, count in enumerate(torch.bincount(rows, minlength=num_items).tolist()):
        assert weight[row].item() == pytest.approx(count / (num_samples * probability(row, num_items, proposal)))
    first = torch.cat([torch.tensor([True]), rows[1:] != rows[:-1]])
    assert torch.equal(log_weight.isfinite(), first)
