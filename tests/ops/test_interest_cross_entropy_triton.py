"""The Triton kernels against the definition in float64: on CUDA, or on the CPU in Triton's interpreter."""

import math

import pytest
import torch

from recbole_sigma.ops import interest_cross_entropy
from recbole_sigma.ops.interest_cross_entropy import fused
from tests.ops.helpers import (
    REDUCTIONS,
    assert_copies_get_together_what_one_would,
    clear_problem,
    definition,
    distance,
    exact_problem,
    loss_and_gradients,
    random_problem,
    sampled,
    sampled_definition,
    usual,
)

pytest.importorskip("triton")

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
DTYPES = [torch.float32, torch.float16] + [torch.bfloat16] * CUDA  # the interpreter has no bfloat16
ABOVE_USUAL_ERROR = {torch.float32: 1e-6, torch.float16: 5e-4, torch.bfloat16: 4e-3}
SIZES = [
    (1, 1, 16, 3),
    (1, 1, 1, 1),
    (7, 1, 16, 300),
    (17, 3, 10, 300),
    (5, 4, 16, 400),
    (2, 64, 16, 40),
    (1, 5, 256, 100),
    (70, 2, 24, 129),
]

pytestmark = pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # an empty sum is minus infinity


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(params=REDUCTIONS)
def reduce(request):
    return request.param


def triton(interests, items, target, **settings):
    return interest_cross_entropy(interests, items, target, impl="triton", **settings)


def on_device(*tensors):
    return tuple(tensor.to(DEVICE) for tensor in tensors)


def assert_as_accurate_as_usual(interests, items, target, **settings):
    """Errors, relative to the value, are at most ``ABOVE_USUAL_ERROR`` greater."""
    exact = loss_and_gradients(definition, interests.double(), items.double(), target, **settings)
    by_usual = loss_and_gradients(usual, interests, items, target, **settings)
    for value, usual_value, exact_value in zip(
        loss_and_gradients(triton, interests, items, target, **settings), by_usual, exact
    ):
        assert value.isfinite().all()
        if exact_value.any():
            assert distance(value, exact_value) <= distance(usual_value, exact_value) + ABOVE_USUAL_ERROR[items.dtype]
        else:
            assert not value.any()


EVERY_PAIR = [
    (sizes, dtype, REDUCTIONS[(i + j) % 2]) for i, sizes in enumerate(SIZES) for j, dtype in enumerate(DTYPES)
]
"""Every size with every type, every size with every reduction, and every type with every reduction. Not every triple:
a type matters only in the kernels' products, and a reduction only in the shape of their arguments."""


@pytest.mark.parametrize("sizes, dtype, reduce", EVERY_PAIR, ids=str)
def test_loss_and_gradients_are_as_accurate_as_by_the_usual_functions(sizes, dtype, reduce):
    problem = on_device(*clear_problem(*sizes, dtype))
    weight = torch.randn(sizes[0], dtype=torch.float64, device=DEVICE)
    assert_as_accurate_as_usual(*problem, weight=weight, temperature=0.7, reduce=reduce)


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("num_interests, reduce", [(1, "sum"), (3, "max"), (4, "max")])
def test_rows_and_items_may_end_at_the_edges_of_blocks(num_interests, reduce, extra):
    """A sum over several interests runs as many rows of one interest."""
    rows = fused.TILE_INTERESTS // {1: 1, 3: 4, 4: 4}[num_interests]
    num_items = 2 * fused.TILE_ITEMS + extra
    interests, items, _ = clear_problem(rows + extra, num_interests, 16, num_items, torch.float32)
    target = torch.arange(rows + extra) * 37 % num_items
    target[:4] = torch.tensor([0, num_items - 1, fused.TILE_ITEMS - 1, fused.TILE_ITEMS])
    assert_as_accurate_as_usual(*on_device(interests, items, target), reduce=reduce)


@pytest.mark.parametrize(
    "splits, blocks, reduce",
    [(1, 3, "max"), (2, 3, "max"), (2, 3, "sum"), (3, 3, "max"), (8, 3, "sum"), (8, 9, "max"), (8, 9, "sum")],
)
def test_parts_of_the_catalog_add_up(splits, blocks, reduce, monkeypatch):
    """One part; parts of several blocks, the last with fewer; a block each; more parts allowed than blocks."""
    monkeypatch.setattr(fused, "MOST_SPLITS", splits)
    problem = clear_problem(5, 2, 8, blocks * fused.TILE_ITEMS - 5, torch.float32)
    assert_as_accurate_as_usual(*on_device(*problem), reduce=reduce)


def test_only_inputs_that_require_a_gradient_get_one(reduce):
    interests, items, target = on_device(*random_problem(7, 3, 8, 150, torch.float32))
    _, *both = loss_and_gradients(triton, interests, items, target, reduce=reduce)
    for index in range(2):
        inputs = [interests.clone(), items.clone()]
        inputs[index].requires_grad_()
        triton(*inputs, target, reduce=reduce).sum().backward()
        assert inputs[1 - index].grad is None
        torch.testing.assert_close(inputs[index].grad, both[index])


def test_layout_in_memory_does_not_matter(reduce):
    interests, items, target = on_device(*random_problem(9, 3, 8, 150, torch.float32))
    weight = torch.randn(9, device=DEVICE)
    expected = loss_and_gradients(triton, interests, items, target, weight=weight, reduce=reduce)
    transposed = (interests.permute(2, 0, 1).contiguous().permute(1, 2, 0), items.T.contiguous().T)
    strided = [torch.stack([x, x + 1], -1)[..., 0] for x in (target, weight)]
    actual = loss_and_gradients(triton, *transposed, strided[0], weight=strided[1], reduce=reduce)
    torch.testing.assert_close(actual, expected)
    one_row = interests[:1].expand_as(interests)
    torch.testing.assert_close(
        loss_and_gradients(triton, one_row, items, target, reduce=reduce),
        loss_and_gradients(triton, one_row.contiguous(), items, target, reduce=reduce),
    )


def test_interests_without_their_dimension_are_one_interest_each(reduce):
    interests, items, target = on_device(*random_problem(7, 1, 8, 150, torch.float32))
    loss, of_interests, of_items = loss_and_gradients(triton, interests, items, target, reduce=reduce)
    without_dimension = loss_and_gradients(triton, interests.squeeze(1), items, target, reduce=reduce)
    torch.testing.assert_close(without_dimension, (loss, of_interests.squeeze(1), of_items))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_loss_is_in_float32_and_gradients_in_the_type_of_the_inputs(dtype):
    problem = on_device(*random_problem(7, 3, 8, 20, dtype))
    for reduce in REDUCTIONS:
        loss, of_interests, of_items = loss_and_gradients(triton, *problem, reduce=reduce)
        assert loss.dtype == torch.float32 and of_interests.dtype == of_items.dtype == dtype


@pytest.mark.parametrize("default, reduce", [(torch.float64, "max"), (torch.float16, "sum")], ids=str)
def test_default_type_of_pytorch_changes_nothing(default, reduce):
    problem = on_device(*random_problem(7, 3, 8, 150, torch.float32))
    expected = loss_and_gradients(triton, *problem, reduce=reduce)
    torch.set_default_dtype(default)
    try:
        actual = loss_and_gradients(triton, *problem, reduce=reduce)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_autocast_runs_the_products_in_its_type_and_gives_gradients_in_that_of_the_inputs(reduce):
    interests, items, target = on_device(*random_problem(7, 3, 8, 150, torch.float16))
    expected, *expected_gradients = loss_and_gradients(triton, interests, items, target, reduce=reduce)
    with torch.autocast(DEVICE, dtype=torch.float16):
        loss, *gradients = loss_and_gradients(triton, interests.float(), items.float(), target, reduce=reduce)
    torch.testing.assert_close(loss, expected)
    for gradient, expected_gradient in zip(gradients, expected_gradients):
        assert gradient.dtype == torch.float32
        assert distance(gradient, expected_gradient.double()) < torch.finfo(torch.float16).eps


def test_no_rows_give_an_empty_loss_and_gradients_of_zero(reduce):
    problem = on_device(*random_problem(0, 3, 8, 5, torch.float32))
    loss, of_interests, of_items = loss_and_gradients(triton, *problem, reduce=reduce)
    assert loss.shape == (0,) and of_interests.shape == (0, 3, 8)
    assert of_items.shape == (5, 8) and not of_items.any()


@pytest.mark.parametrize("exponent", [9, 55, -105], ids=["1e4", "1e18", "1e-30"])
def test_scores_of_any_size_give_the_right_loss_and_finite_gradients(exponent, reduce):
    interests, items, target = on_device(*exact_problem(20, 3, 8, 150))
    interests, items = interests * 2.0**exponent, items / 2
    exact = loss_and_gradients(definition, interests.double(), items.double(), target, reduce=reduce)
    actual = loss_and_gradients(triton, interests, items, target, reduce=reduce)
    torch.testing.assert_close(actual[0].double(), exact[0], rtol=1e-5, atol=1e-5)
    for gradient, exact_gradient in zip(actual[1:], exact[1:]):
        assert gradient.isfinite().all()
        assert distance(gradient, exact_gradient) < 1e-5


def test_loss_keeps_its_relative_accuracy_where_the_target_has_nearly_all_of_the_probability():
    for gap in (15.0, 30.0, 60.0):
        interests, items = torch.ones(1, 1, 1), torch.tensor([[gap]] + 11 * [[0.0]])
        target = torch.zeros(1, dtype=torch.int64)
        loss = triton(*on_device(interests, items, target)).item()
        assert loss == pytest.approx(math.log1p(11 * math.exp(-gap)), rel=1e-3, abs=0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_interests_with_equal_scores_share_the_gradient_as_in_the_definition(dtype):
    interests, items, target = on_device(*exact_problem(20, 5, 3, 150, dtype))
    interests = interests.sign()  # scores of few digits, exact in every type
    for weight in (None, torch.randn(20, dtype=torch.float64, device=DEVICE)):
        settings = {"weight": weight, "temperature": 0.7}
        exact = loss_and_gradients(definition, interests.double(), items.double(), target, **settings)
        actual = loss_and_gradients(triton, interests, items, target, **settings)
        for value, exact_value in zip(actual, exact):
            assert distance(value, exact_value) < max(1e-6, torch.finfo(value.dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("copies", [2, 3, 8])
@pytest.mark.parametrize("apart", [0, 1e-6])
def test_equal_and_nearly_equal_interests_get_together_what_one_of_them_would(dtype, copies, apart):
    """The products round, and in the interpreter, OpenBLAS's kernels for Haswell and Zen round those of identical rows
    by the place of the row in the matrix."""
    settings = {"device": DEVICE, "temperature": 0.7}
    assert_copies_get_together_what_one_would(triton, dtype, copies, apart, seed=0, num_items=150, **settings)


def test_loss_and_gradients_repeat_to_the_bit(reduce):
    interests, items, target = on_device(*random_problem(40, 3, 16, 300, torch.float32))
    target[5:] = 7  # many rows add to the gradient of one item
    weight = torch.randn(40, device=DEVICE)
    first = loss_and_gradients(triton, interests, items, target, weight=weight, reduce=reduce)
    again = loss_and_gradients(triton, interests, items, target, weight=weight, reduce=reduce)
    assert all(torch.equal(a, b) for a, b in zip(again, first))


def test_rows_alone_have_the_loss_and_gradient_they_have_in_the_batch(reduce):
    interests, items, target = on_device(*clear_problem(20, 3, 8, 150, torch.float32))
    loss, of_interests, _ = loss_and_gradients(triton, interests, items, target, reduce=reduce)
    for rows in (slice(0, 1), slice(3, 20)):
        alone = loss_and_gradients(triton, interests[rows], items, target[rows], reduce=reduce)
        torch.testing.assert_close(alone[:2], (loss[rows], of_interests[rows]))


@pytest.mark.parametrize("num_items, num_samples", [(1, 5), (20, 1), (20, 150), (500, 140)])
@pytest.mark.parametrize("proposal, reduce", [("uniform", "max"), ("log-uniform", "sum")])
def test_sampled_loss_and_gradients_are_those_of_a_loop_over_the_draws(num_items, num_samples, proposal, reduce):
    """The kernels get the weights of the draws, not their proposal; so it need not meet each reduction."""
    interests, items, target = on_device(*clear_problem(7, 3, 8, num_items, torch.float32))
    weight = torch.randn(7, dtype=torch.float64, device=DEVICE)
    settings = {"num_samples": num_samples, "proposal": proposal, "temperature": 0.7, "reduce": reduce}
    settings["weight"] = weight
    exact = loss_and_gradients(sampled_definition, interests.double(), items.double(), target, **settings)
    actual = loss_and_gradients(sampled, interests, items, target, impl="triton", **settings)
    for value, exact_value in zip(actual, exact):
        torch.testing.assert_close(value.double(), exact_value, rtol=1e-5, atol=1e-5)


if CUDA:

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize(
        "sizes",
        [(257, 4, 64, 12_101), (100, 16, 200, 5_000), (1_000, 1, 128, 30_000), (33, 64, 256, 1_000)],
        ids=str,
    )
    def test_large_sizes_are_as_accurate_as_by_the_usual_functions(sizes, dtype, reduce):
        """Of float32 scores that are exact: else some interests would be the best in one precision alone."""
        interests, items, target = on_device(*exact_problem(*sizes, dtype))
        weight = torch.randn(sizes[0], dtype=torch.float64, device=DEVICE)
        assert_as_accurate_as_usual(interests, items / 8, target, weight=weight, reduce=reduce)
