"""The definition in float64 against the implementations for any device: "naive", and "tiled" in both its ways."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from recbole_sigma.ops import interest_cross_entropy, sampled_interest_cross_entropy
from recbole_sigma.ops.interest_cross_entropy import fused, tiled
from tests.ops.helpers import (
    REDUCTIONS,
    assert_copies_get_together_what_one_would,
    assert_follows_definition,
    clear_problem,
    definition,
    distance,
    exact_problem,
    loss_and_gradients,
    random_problem,
    sampled,
    usual,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(params=["naive", "held", "anew"])
def impl(request, monkeypatch):
    """The ways of "tiled": forward holds the scores and computes gradients from them, or backward does it anew."""
    if request.param == "anew":
        monkeypatch.setattr(tiled, "HELD_SCORES", 0)
    return "naive" if request.param == "naive" else "tiled"


@pytest.fixture
def small_tiles(monkeypatch):
    """A few rows and a thousand items fill several tiles, and are held in several parts."""
    monkeypatch.setattr(tiled, "TILE_ITEMS", 128)
    monkeypatch.setattr(tiled, "TILE_SCORES", 2**10)
    monkeypatch.setattr(tiled, "HELD_ROWS", (4, 16))


def weights_of(target):
    """None for a plain sum, and weights of losses that are all different, some negative."""
    return None, torch.randn(len(target), dtype=torch.float64)


# Sizes ---------------------------------------------------------------------------------------------------------------


@st.composite
def sizes_and_tiles(draw):
    """Sizes of a problem and constants of ``tiled``; rows, items and held scores are often at the edges of tiles."""

    def one_of(*values):  # all as often: integers() would often be 0 and 1
        return draw(st.sampled_from(values))

    num_interests, num_dimensions = one_of(1, 2, 3, 5), one_of(1, 2, 6)
    tile_rows, tile_items = one_of(1, 2, 3, 4), one_of(2, 3, 5, 8)
    num_rows = max(1, tile_rows * one_of(1, 2, 3, 4) + one_of(-1, 0, 1))
    num_items = tile_items * one_of(1, 2, 3) + one_of(-1, 0, 1)
    least = one_of(1, 2, 3, 4)
    most = least + one_of(0, 1, 3, 6)
    limit = min(least, num_rows) * num_interests * num_items
    constants = {
        "TILE_ITEMS": tile_items,
        "TILE_SCORES": tile_rows * num_interests * tile_items,
        "HELD_SCORES": one_of(limit - 1, limit, limit + 1, 10**6),
        "HELD_ROWS": (least, most),
        "ROWS_OF_KERNELS": one_of(1, 2, 3),
    }
    return (num_rows, num_interests, num_dimensions, num_items), constants


@given(sizes_and_tiles(), st.sampled_from([0.5, 0.7, 1.0, 2.0]), st.integers(0, 2**32))
def test_loss_and_gradients_are_those_of_the_definition_for_all_sizes_and_tiles(case, temperature, seed):
    sizes, constants = case
    torch.manual_seed(seed)
    interests, items, target = random_problem(*sizes)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in constants.items():
            patch.setattr(tiled, name, value)
        for weight, reduce, impl in itertools.product(weights_of(target), REDUCTIONS, ("naive", "tiled")):
            settings = {"weight": weight, "temperature": temperature, "reduce": reduce, "impl": impl}
            assert_follows_definition(interests, items, target, **settings)


@pytest.mark.parametrize("sizes", [(7, 8, 32, 12_101), (257, 4, 20, 1_000), (257, 16, 16, 3)], ids=str)
def test_loss_and_gradients_are_those_of_the_definition_for_large_sizes(sizes, impl):
    """With the constants as they are: several tiles of items, more rows than are held, and hardly any items."""
    problem = random_problem(*sizes)
    for reduce, weight in itertools.product(REDUCTIONS, weights_of(problem[-1])):
        assert_follows_definition(*problem, weight=weight, temperature=0.7, reduce=reduce, impl=impl)


@pytest.mark.parametrize("way, equal, unequal", [("held", 3, 5), ("anew", 4, 4)])
def test_number_of_matrix_products_is_least_where_scores_are_held_and_losses_weigh_the_same(
    way, equal, unequal, monkeypatch
):
    """Scores and two gradients; scores once more where they were not held, or for the items' gradient alone."""
    if way == "anew":
        monkeypatch.setattr(tiled, "HELD_SCORES", 0)
    interests, items, target = random_problem(7, 4, 16, 1_500)
    for weight, expected in ((None, equal), (torch.arange(7), unequal)):
        with FlopCounterMode(display=False) as counter:
            loss_and_gradients(interest_cross_entropy, interests, items, target, weight=weight, impl="tiled")
        assert counter.get_total_flops() == expected * 2 * interests.numel() * len(items)


@pytest.mark.usefixtures("small_tiles")
def test_interests_without_their_dimension_are_one_interest_each(impl):
    interests, items, target = random_problem(7, 1, 16, 1_100)
    users = interests.squeeze(1)
    softmax = loss_and_gradients(lambda u, v: F.cross_entropy(u @ v.T, target, reduction="none"), users, items)
    for reduce in REDUCTIONS:
        settings = {"impl": impl, "reduce": reduce}
        loss, of_interests, of_items = loss_and_gradients(interest_cross_entropy, interests, items, target, **settings)
        without_dimension = loss_and_gradients(interest_cross_entropy, users, items, target, **settings)
        torch.testing.assert_close(without_dimension, (loss, of_interests.squeeze(1), of_items), rtol=0, atol=0)
        torch.testing.assert_close(without_dimension, softmax)


def test_no_rows_give_an_empty_loss_and_gradients_of_zero(impl):
    interests, items, target = random_problem(0, 4, 8, 5, torch.float32)
    for reduce in REDUCTIONS:
        result = loss_and_gradients(interest_cross_entropy, interests, items, target, impl=impl, reduce=reduce)
        loss, of_interests, of_items = result
        assert loss.shape == (0,) and of_interests.shape == (0, 4, 8)
        assert torch.equal(of_items, torch.zeros(5, 8))


def test_single_item_is_certain_unless_several_interests_are_summed(impl):
    for num_interests, reduce in ((1, "max"), (4, "max"), (1, "sum")):
        problem = random_problem(7, num_interests, 8, 1, torch.float32)
        for tensor in loss_and_gradients(interest_cross_entropy, *problem, impl=impl, reduce=reduce):
            assert torch.equal(tensor, torch.zeros_like(tensor))
    assert_follows_definition(*random_problem(7, 4, 8, 1), reduce="sum", impl=impl)


# Precision -----------------------------------------------------------------------------------------------------------

ABOVE_USUAL_ERROR = {torch.float32: 1e-7, torch.float16: 1e-4, torch.bfloat16: 5e-4}


@pytest.mark.parametrize("dtype", ABOVE_USUAL_ERROR, ids=str)
@pytest.mark.usefixtures("small_tiles")
def test_errors_are_those_of_the_usual_functions_in_the_same_precision(dtype, impl):
    """Their lengths, in parts of the value, are at most ``ABOVE_USUAL_ERROR`` greater."""
    for sizes in ((20, 3, 64, 500), (25, 1, 128, 500)):
        interests, items, target = clear_problem(*sizes, dtype)
        for weight, reduce in itertools.product(weights_of(target), REDUCTIONS):
            settings = {"weight": weight, "reduce": reduce}
            exact = loss_and_gradients(definition, interests.double(), items.double(), target, **settings)
            by_usual = loss_and_gradients(usual, interests, items, target, **settings)
            actual = loss_and_gradients(interest_cross_entropy, interests, items, target, impl=impl, **settings)
            for value, usual_value, exact_value in zip(actual, by_usual, exact):
                assert distance(value, exact_value) <= distance(usual_value, exact_value) + ABOVE_USUAL_ERROR[dtype]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_loss_of_narrow_inputs_is_summed_in_float32(dtype, impl):
    interests, items, target = clear_problem(40, 4, 64, 3_001, dtype)
    for reduce in REDUCTIONS:
        exact = definition(interests.double(), items.double(), target, reduce=reduce)
        error = distance(interest_cross_entropy(interests, items, target, impl=impl, reduce=reduce), exact)
        assert error < distance(usual(interests, items, target, reduce=reduce), exact) / 10


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.usefixtures("small_tiles")
def test_gradients_of_narrow_inputs_are_summed_in_float32(dtype, impl):
    """Every tile adds much the same to them, as the interests have much in common, and so have the items."""
    interests, items, target = random_problem(400, 1, 16, 1_001)
    interests, items = (interests + 1).to(dtype), (items + torch.tensor([3.0, -3.0]).repeat(8)).to(dtype)
    _, *exact = loss_and_gradients(definition, interests.double(), items.double(), target)
    _, *gradients = loss_and_gradients(interest_cross_entropy, interests, items, target, impl=impl)
    # The parts of the target and of the others are rounded separately; they nearly cancel in the interests' gradient.
    for gradient, exact_gradient, roundings in zip(gradients, exact, (2, 0.6)):
        assert distance(gradient, exact_gradient) < roundings * torch.finfo(dtype).eps


def test_gradients_of_float64_are_the_derivatives(impl):
    for num_interests, reduce in itertools.product((1, 3), REDUCTIONS):
        interests, items, target = random_problem(2, num_interests, 2, 4)
        inputs = (interests.requires_grad_(), items.requires_grad_())
        settings = {"temperature": 0.8, "impl": impl, "reduce": reduce}
        assert torch.autograd.gradcheck(lambda u, v: interest_cross_entropy(u, v, target, **settings), inputs)


def test_loss_is_in_float32_or_wider_and_gradients_in_the_type_of_the_inputs(impl):
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        for reduce in REDUCTIONS:
            problem = random_problem(7, 3, 8, 20, dtype)
            loss, *gradients = loss_and_gradients(interest_cross_entropy, *problem, impl=impl, reduce=reduce)
            assert loss.dtype == torch.promote_types(dtype, torch.float32)
            assert [gradient.dtype for gradient in gradients] == [dtype, dtype]


# Layouts, and what autograd asks for ---------------------------------------------------------------------------------

LAYOUTS = {
    "transposed": lambda u, v, t: (u.permute(2, 0, 1).contiguous().permute(1, 2, 0), v.T.contiguous().T, t),
    "rows inside": lambda u, v, t: (u.transpose(0, 1).contiguous().transpose(0, 1), v, t),
    "every second": lambda *tensors: tuple(torch.stack([x, x + 1], -1)[..., 0] for x in tensors),
    "part of a larger one": lambda u, v, t: (
        F.pad(u, (1, 2))[..., 1:-2],
        F.pad(v, (1, 0))[:, 1:],
        F.pad(t, (1, 0))[1:],
    ),
    "one row": lambda u, v, t: (u[:1].expand_as(u), v, t[:1].expand_as(t)),
    "one interest": lambda u, v, t: (u[:, :1].expand_as(u), v, t),
    "one item": lambda u, v, t: (u, v[:1].expand_as(v), t),
    "one dimension": lambda u, v, t: (u[..., :1].expand_as(u), v[:, :1].expand_as(v), t),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.usefixtures("small_tiles")
def test_layout_in_memory_does_not_matter(layout, impl):
    interests, items, target = random_problem(9, 3, 8, 300)
    interests, items = (256 * interests).round() / 256, (256 * items).round() / 256  # equal scores remain equal
    problem = layout(interests, items, target)
    for weight, reduce in itertools.product((None, torch.randn(18, dtype=torch.float64)[::2]), REDUCTIONS):
        assert_follows_definition(*problem, weight=weight, reduce=reduce, impl=impl)


@pytest.mark.usefixtures("small_tiles")
def test_only_inputs_that_require_a_gradient_get_one(impl):
    interests, items, target = random_problem(7, 3, 8, 300, torch.float32)
    for weight, reduce in itertools.product((torch.ones(7), torch.rand(7)), REDUCTIONS):
        settings = {"impl": impl, "reduce": reduce}
        _, *both = loss_and_gradients(interest_cross_entropy, interests, items, target, weight=weight, **settings)
        for index in range(2):
            inputs = [interests.clone(), items.clone()]
            inputs[index].requires_grad_()
            (interest_cross_entropy(*inputs, target, **settings) * weight).sum().backward()
            assert inputs[1 - index].grad is None
            torch.testing.assert_close(inputs[index].grad, both[index])


@pytest.mark.usefixtures("small_tiles")
def test_loss_without_gradients_is_the_same(impl):
    interests, items, target = random_problem(7, 3, 8, 300, torch.float32)
    for reduce in REDUCTIONS:
        settings = {"impl": impl, "reduce": reduce}
        loss, _, _ = loss_and_gradients(interest_cross_entropy, interests, items, target, **settings)
        of_constants = interest_cross_entropy(interests, items, target, **settings)
        with torch.no_grad():
            within_no_grad = interest_cross_entropy(interests.clone().requires_grad_(), items, target, **settings)
        for other in (of_constants, within_no_grad):
            assert not other.requires_grad
            torch.testing.assert_close(other, loss)


@pytest.mark.usefixtures("small_tiles")
def test_backward_may_run_again_with_other_weights(impl):
    interests, items, target = random_problem(7, 3, 8, 300)
    inputs = (interests.requires_grad_(), items.requires_grad_())
    for reduce in REDUCTIONS:
        loss = interest_cross_entropy(*inputs, target, impl=impl, reduce=reduce)
        for weight in (torch.ones(7), torch.rand(7), torch.full((7,), -3.0), torch.zeros(7)):
            weight = weight.double()
            actual = torch.autograd.grad(loss, inputs, weight, retain_graph=True)
            _, *expected = loss_and_gradients(definition, *inputs, target, weight=weight, reduce=reduce)
            torch.testing.assert_close(actual, tuple(expected))


@pytest.mark.usefixtures("small_tiles")
def test_autocast_runs_the_products_in_its_type_and_gives_gradients_in_that_of_the_inputs(impl):
    interests, items, target = random_problem(7, 3, 64, 1_100, torch.bfloat16)
    items, narrow = 4 * items.float(), 4 * items
    target %= 100
    items[100:] *= 1 + 2**-10  # lost in bfloat16; the targets, whose scores are no matrix product, have nothing to lose
    inputs = (interests.float().requires_grad_(), items.requires_grad_())
    for reduce, outside in itertools.product(REDUCTIONS, (False, True)):
        settings = {"impl": impl, "reduce": reduce}
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = interest_cross_entropy(*inputs, target, **settings)
            if not outside:
                gradients = torch.autograd.grad(loss.sum(), inputs)
        if outside:
            gradients = torch.autograd.grad(loss.sum(), inputs)

        expected, *expected_gradients = loss_and_gradients(
            interest_cross_entropy, interests, narrow, target, **settings
        )
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
        wide = interest_cross_entropy(*inputs, target, **settings)
        assert (loss - wide).abs().max() > 1e-4
        for gradient, expected_gradient in zip(gradients, expected_gradients):
            assert gradient.dtype == torch.float32
            assert distance(gradient, expected_gradient.double()) < torch.finfo(torch.bfloat16).eps


@pytest.mark.parametrize("held_scores", [0, 2**23])
@pytest.mark.usefixtures("small_tiles")
def test_gradients_of_a_tiled_loss_without_autocast_are_the_same_if_backward_runs_in_it(held_scores, monkeypatch):
    monkeypatch.setattr(tiled, "HELD_SCORES", held_scores)
    interests, items, target = random_problem(7, 3, 64, 300, torch.float32)
    weight = torch.rand(7)
    _, *expected = loss_and_gradients(interest_cross_entropy, interests, items, target, weight=weight, impl="tiled")
    inputs = (interests.requires_grad_(), items.requires_grad_())
    loss = interest_cross_entropy(*inputs, target, impl="tiled")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gradients = torch.autograd.grad(loss, inputs, weight)
    assert all(torch.equal(gradient, other) for gradient, other in zip(gradients, expected))


@pytest.mark.usefixtures("small_tiles")
def test_scaling_a_loss_saves_the_small_gradients_of_float16(impl):
    """Without the scale, the slopes in scores of items with this probability round to zero in float16."""
    interests = torch.ones(9, 2, 4, dtype=torch.float16)
    items = torch.full((300, 4), -4.5, dtype=torch.float16)
    items[0] = 0
    assert torch.tensor(math.exp(4 * -4.5)).half() == 0
    target = torch.zeros(9, dtype=torch.int64)
    scale = torch.full((9,), 2.0**14)
    _, *exact = loss_and_gradients(definition, interests.double(), items.double(), target, weight=scale)
    _, *scaled = loss_and_gradients(interest_cross_entropy, interests, items, target, weight=scale, impl=impl)
    for gradient, exact_gradient in zip(scaled, exact):
        assert distance(gradient, exact_gradient) < 4 * torch.finfo(torch.float16).eps


def test_autocast_takes_interests_and_items_of_different_types(impl):
    interests, items, target = random_problem(7, 3, 64, 100, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, of_interests, of_items = loss_and_gradients(
            interest_cross_entropy, interests, items.float(), target, impl=impl
        )
    torch.testing.assert_close(loss, interest_cross_entropy(interests, items, target, impl=impl))
    assert of_interests.dtype == torch.bfloat16 and of_items.dtype == torch.float32


# Extreme scores ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [9, 55, -105], ids=["1e4", "1e18", "1e-30"])
@pytest.mark.usefixtures("small_tiles")
def test_scores_of_any_size_give_the_right_loss_and_finite_gradients(exponent, impl):
    interests, items, target = exact_problem(40, 3, 8, 300)
    interests, items = interests * 2.0**exponent, items / 2  # a score is at most 16 times 2^exponent
    largest = (interests @ items.T).abs().max()
    assert 8 * 2.0**exponent <= largest <= 16 * 2.0**exponent
    of_any_sign, negative = (interests, items), (interests.abs(), -items.abs())
    for weight, temperature, reduce, problem in itertools.product(
        weights_of(target), (1.0, 0.5), REDUCTIONS, (of_any_sign, negative)
    ):
        settings = {"weight": weight, "temperature": temperature, "reduce": reduce}
        loss, *gradients = loss_and_gradients(interest_cross_entropy, *problem, target, impl=impl, **settings)
        doubles = (tensor.double() for tensor in problem)
        exact, *exact_gradients = loss_and_gradients(definition, *doubles, target, **settings)
        torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-5)
        for gradient, exact_gradient in zip(gradients, exact_gradients):
            assert gradient.isfinite().all()
            assert distance(gradient, exact_gradient) < 1e-5


def test_loss_is_never_negative(impl):
    interests, items, _ = random_problem(500, 4, 16, 60, torch.float32)
    for scale, reduce in itertools.product((0.1, 1.0, 3.0, 30.0), REDUCTIONS):
        scaled = scale * interests
        target = (scaled @ items.T).amax(1).argmax(1)  # the likeliest item
        assert (interest_cross_entropy(scaled, items, target, impl=impl, reduce=reduce) >= 0).all()


def test_loss_and_gradients_keep_their_relative_accuracy_where_the_target_has_nearly_all_of_the_probability(impl):
    """Interests along an axis each: the first scores the target highest, the second a little above the others."""
    target = torch.zeros(1, dtype=torch.int64)
    for gap, num_interests, reduce in itertools.product((15.0, 30.0, 60.0), (1, 2), REDUCTIONS):
        interests = 4 * torch.eye(2)[:num_interests].unsqueeze(0)
        items = torch.zeros(12, 2)
        items[0] = torch.tensor([gap, 1.0]) / 4
        others = 11 * math.exp(-gap)
        if reduce == "sum" and num_interests == 2:
            others = math.exp(1 - gap) + 22 * math.exp(-gap)
        exact = math.log1p(others)
        settings = {"reduce": reduce}
        loss, *gradients = loss_and_gradients(interest_cross_entropy, interests, items, target, impl=impl, **settings)
        assert loss.item() == pytest.approx(exact, rel=1e-3, abs=0)
        if gap <= 30:  # beyond, the definition in float64 has no digits left for the gradients
            _, *exact_gradients = loss_and_gradients(definition, interests.double(), items.double(), target, **settings)
            assert max(map(distance, gradients, exact_gradients)) < 1e-3
        if gap >= 30:
            assert usual(interests, items, target, reduce=reduce).item() == 0


# Equal scores --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.usefixtures("small_tiles")
def test_interests_with_equal_scores_share_the_gradient_as_in_the_definition(dtype, impl):
    interests, items, target = exact_problem(40, 5, 3, 300, dtype)
    interests = interests.sign()  # scores of few digits, exact in every type
    scores = interests.double() @ items.double().T
    assert (scores == scores.amax(1, keepdim=True)).sum(1).gt(1).double().mean() > 0.1
    for weight in weights_of(target):
        settings = {"weight": weight, "temperature": 0.7}
        exact = loss_and_gradients(definition, interests.double(), items.double(), target, **settings)
        actual = loss_and_gradients(interest_cross_entropy, interests, items, target, impl=impl, **settings)
        for value, exact_value in zip(actual, exact):
            assert distance(value, exact_value) < max(1e-6, torch.finfo(value.dtype).eps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("copies", [2, 3, 8])
@pytest.mark.parametrize("apart", [0, 1e-7, 1e-5, 1e-3])
@pytest.mark.usefixtures("small_tiles")
def test_equal_and_nearly_equal_interests_get_together_what_one_of_them_would(dtype, copies, apart, impl):
    weight = torch.randn(9)
    for seed, weight in enumerate((None, weight)):
        settings = {"impl": impl, "weight": weight, "temperature": 0.7}
        assert_copies_get_together_what_one_would(interest_cross_entropy, dtype, copies, apart, seed, **settings)


@pytest.mark.parametrize("copies", [2, 3, 8])
def test_equal_and_nearly_equal_interests_of_a_sampled_loss_get_together_what_one_would(copies, impl):
    for seed, apart in enumerate((0, 1e-7, 1e-3)):
        settings = {"impl": impl, "num_samples": 100}
        assert_copies_get_together_what_one_would(sampled, torch.float32, copies, apart, seed, **settings)


@pytest.mark.usefixtures("small_tiles")
def test_copies_of_an_interest_count_each_in_a_sum(impl):
    """``log K`` more, as the maximum for the target counts once."""
    single, items, target = random_problem(9, 1, 8, 300)
    settings = {"impl": impl, "reduce": "sum"}
    loss = interest_cross_entropy(single, items, target, **settings)
    of_copies = interest_cross_entropy(single.expand(-1, 4, -1), items, target, **settings)
    torch.testing.assert_close(of_copies, loss + math.log(4))


# Repeats, rows apart -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_tiles")
def test_loss_and_gradients_repeat_to_the_bit(impl):
    for dtype, reduce in itertools.product((torch.float32, torch.bfloat16), REDUCTIONS):
        interests, items, target = random_problem(25, 4, 16, 600, dtype)
        target[10:] = 5  # many rows add to the gradient of one item
        for weight in weights_of(target):
            settings = {"weight": weight, "impl": impl, "reduce": reduce}
            first = loss_and_gradients(interest_cross_entropy, interests, items, target, **settings)
            for _ in range(3):
                again = loss_and_gradients(interest_cross_entropy, interests, items, target, **settings)
                assert all(torch.equal(a, b) for a, b in zip(again, first))


@pytest.mark.usefixtures("small_tiles")
def test_rows_alone_have_the_loss_and_gradient_they_have_in_the_batch(impl):
    interests, items, target = random_problem(37, 4, 16, 300)
    weight = torch.rand(37, dtype=torch.float64)
    for reduce in REDUCTIONS:
        settings = {"impl": impl, "reduce": reduce}
        whole = loss_and_gradients(interest_cross_entropy, interests, items, target, weight=weight, **settings)
        parts = [
            loss_and_gradients(
                interest_cross_entropy, interests[rows], items, target[rows], weight=weight[rows], **settings
            )
            for rows in ([0], [1, 2], slice(3, 30), slice(30, 37))
        ]
        loss, of_interests, of_items = zip(*parts)
        torch.testing.assert_close(torch.cat(loss), whole[0], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(torch.cat(of_interests), whole[1], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(sum(of_items), whole[2], rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("small_tiles")
def test_inputs_are_left_as_they_are(impl):
    problem = random_problem(7, 3, 8, 300)
    copies = [tensor.clone() for tensor in problem]
    for reduce in REDUCTIONS:
        loss_and_gradients(interest_cross_entropy, *problem, impl=impl, reduce=reduce)
        assert all(torch.equal(tensor, copy) for tensor, copy in zip(problem, copies))


# The choice of an implementation -------------------------------------------------------------------------------------


def test_auto_is_tiled_on_the_cpu(monkeypatch):
    calls = []
    one_of_them = tiled.loss_against_others
    monkeypatch.setattr(tiled, "loss_against_others", lambda *args: calls.append("tiled") or one_of_them(*args))
    monkeypatch.setattr(fused, "loss_against_others", lambda *args: calls.append("triton"))
    interest_cross_entropy(*random_problem(7, 3, 8, 20, torch.float32), impl="auto")
    interest_cross_entropy(*random_problem(7, 3, 8, 20, torch.float32))
    assert calls == ["tiled", "tiled"]


@pytest.mark.parametrize("num_samples", [None, 500])
def test_several_threads_give_the_same_gradients_each_time(num_samples):
    """Many rows with the same target: their gradients have to be added up in one order."""
    interests, items = torch.randn(3000, 64), torch.randn(2000, 64)
    target = torch.randint(40, (3000,))
    num_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = set()
        for _ in range(4):
            inputs = [tensor.clone().requires_grad_() for tensor in (interests, items)]
            torch.manual_seed(1)
            if num_samples is None:
                loss = interest_cross_entropy(*inputs, target)
            else:
                loss = sampled_interest_cross_entropy(*inputs, target, num_samples=num_samples)
            loss.sum().backward()
            found.add(b"".join(tensor.grad.numpy().tobytes() for tensor in inputs))
    finally:
        torch.set_num_threads(num_threads)
    assert len(found) == 1
