"""The scan of all prefixes against section 3.2 of the paper, written out in float64 one item and category at a time."""

import itertools
from typing import NamedTuple

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_sequence

from recbole_sigma.ops import InterestScan, interest_scan
from recbole_sigma.ops.interest_scan import packed
from recbole_sigma.ops.interest_scan.packed import largest_batch_sizes, steps_and_ranks
from tests.memory import measured, reads_proc

K, D = 3, 4
IMPLS = ("naive", "packed")
RAGGED = (3, 0, 1, 9, 0, 7, 8, 2)


class Problem(NamedTuple):
    items: Tensor
    probability: Tensor
    assigned: Tensor
    category: Tensor
    lengths: Tensor


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(params=IMPLS)
def impl(request):
    return request.param


def random_problem(lengths=RAGGED, num_categories=K, used=None, dtype=torch.double):
    """Assigned categories are drawn from the first ``used``."""
    num_items = sum(lengths)
    return Problem(
        torch.randn(num_items, D, dtype=dtype),
        torch.randn(num_items, num_categories, dtype=dtype).softmax(-1),
        torch.randn(num_items, D, dtype=dtype),
        torch.randint(used or num_categories, (num_items,)),
        torch.tensor(lengths, dtype=torch.long),
    )


def random_gru(dtype=torch.double, **settings):
    return nn.GRU(D, D, **settings).to(dtype)


def in_double(problem):
    return Problem(*(value.double() if value.is_floating_point() else value for value in problem))


def gru_step(gru, x, state):
    """One step as the documentation of ``torch.nn.GRU`` has it."""
    of_x, of_state = gru.weight_ih_l0 @ x, gru.weight_hh_l0 @ state
    if gru.bias:
        of_x, of_state = of_x + gru.bias_ih_l0, of_state + gru.bias_hh_l0
    (x_reset, x_update, x_new), (reset, update, new) = of_x.chunk(3), of_state.chunk(3)
    reset, update = torch.sigmoid(x_reset + reset), torch.sigmoid(x_update + update)
    return (1 - update) * torch.tanh(x_new + reset * new) + update * state


def definition(items, probability, assigned, category, lengths, gru):
    soft, intensity, hard, present = [], [], [], []
    num_categories, start = probability.shape[1], 0
    for length in lengths.tolist():
        states = [torch.zeros(D, dtype=torch.double)] * num_categories
        seen = [False] * num_categories
        for t in range(start, start + length):
            k = int(category[t])
            states[k], seen[k] = gru_step(gru, assigned[t], states[k]), True
            for j in range(num_categories):
                prefix = range(start, t + 1)
                soft.append(sum(probability[i, j] * items[i] for i in prefix))
                intensity.append(sum(probability[i, j] for i in prefix) / len(prefix))
            hard += states
            present += seen
        start += length
    shape = (-1, num_categories)
    return InterestScan(
        torch.stack(soft).view(*shape, D),
        torch.stack(intensity).view(shape),
        torch.stack(hard).view(*shape, D),
        torch.tensor(present).view(shape),
    )


def random_weights(problem):
    """Weights of the entries of soft, intensity and hard, to sum them up."""
    num_items, num_categories = problem.probability.shape
    shapes = (num_items, num_categories, D), (num_items, num_categories), (num_items, num_categories, D)
    return [torch.randn(shape, dtype=torch.double) for shape in shapes]


def run(function, problem, gru, weights=None, **settings):
    """Result, and gradients of its weighted sum: of items, probability, assigned and the parameters of the GRU."""
    inputs = [value.detach().clone().requires_grad_() for value in problem[:3]]
    result = function(*inputs, *problem[3:], gru, **settings)
    weights = [torch.ones(())] * 3 if weights is None else weights
    total = sum((value * weight.to(value)).sum() for value, weight in zip(result, weights))
    gradients = torch.autograd.grad(total, [*inputs, *gru.parameters()], materialize_grads=True)
    return InterestScan(*(value.detach() for value in result)), gradients


def sequences_of(problem):
    """Every sequence as a problem of its own."""
    lengths = problem.lengths.tolist()
    parts = zip(*(value.split(lengths) for value in problem[:4]))
    return [Problem(*part, torch.tensor([length])) for part, length in zip(parts, lengths)]


def joined(problems):
    return Problem(*(torch.cat(values) for values in zip(*problems)))


def positions(lengths):
    return torch.cat([torch.arange(length) for length in lengths])


# Against the definition ----------------------------------------------------------------------------------------------


def assert_follow_definition(problem, gru, tolerance, of_gradients):
    """Errors of states and of gradients, relative to the largest value, are at most these."""
    weights, dtype = random_weights(problem), problem.items.dtype
    by_impl = {impl: run(interest_scan, problem, gru, weights, impl=impl) for impl in IMPLS}
    expected, expected_gradients = run(definition, in_double(problem), gru.double(), weights)
    names = [*Problem._fields[:3], *(name for name, _ in gru.named_parameters())]
    for impl, (actual, gradients) in by_impl.items():
        assert torch.equal(actual.present, expected.present)
        for name, value, expected_value in zip(InterestScan._fields[:3], actual, expected):
            assert_within(tolerance, value, expected_value, dtype, f"{impl}: {name}")
        assert len(gradients) == len(expected_gradients) == len(names)
        for name, gradient, expected_gradient in zip(names, gradients, expected_gradients):
            assert_within(of_gradients, gradient, expected_gradient, dtype, f"{impl}: gradient of {name}")


def assert_within(tolerance, value, expected, dtype, name):
    assert (value.shape, value.dtype) == (expected.shape, dtype), name
    error, largest = (value - expected).abs().max(), expected.abs().max()
    assert error <= tolerance * largest, f"{name}: error {error} of {largest}"


few_lengths = st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(any)


@given(
    few_lengths,
    st.sampled_from([1, 2, 3, 5]),
    st.sampled_from([1, 2, 4, 5]),
    st.fixed_dictionaries({"bias": st.booleans(), "batch_first": st.booleans()}),
    st.integers(0, 2**32),
)
@example((3, 0, 1, 33, 0, 7), 3, 3, {}, 0)
@example((17, 15, 16), 2, 1, {}, 0)
@example((5, 5, 5), 1, 1, {}, 0)
@example((1,), 2, 2, {}, 0)
def test_states_and_all_gradients_follow_the_definition(lengths, num_categories, used, settings, seed):
    """Also with categories that no item is assigned to."""
    torch.manual_seed(seed)
    problem = random_problem(lengths, num_categories, used=min(used, num_categories))
    assert_follow_definition(problem, random_gru(**settings), 1e-13, 1e-12)


def test_float32_is_within_1e_6_of_the_definition_in_float64_and_its_gradients_within_1e_5():
    assert_follow_definition(random_problem((3, 0, 1, 33, 8), dtype=torch.float), random_gru(torch.float), 1e-6, 1e-5)


def test_packed_is_the_default():
    problem, gru = random_problem(dtype=torch.float), random_gru(torch.float)
    packed = interest_scan(*problem, gru, impl="packed")
    for result in (interest_scan(*problem, gru), interest_scan(*problem, gru, impl="auto")):
        assert all(torch.equal(value, packed_value) for value, packed_value in zip(result, packed))


def test_inputs_and_gradients_may_have_any_strides(impl):
    problem, gru = random_problem(), random_gru()
    num_items = len(problem.items)
    strided = problem._replace(
        items=problem.items.repeat_interleave(2, 0)[::2],
        probability=problem.probability.T.contiguous().T,
        assigned=problem.assigned[:1].expand(num_items, D),
    )
    assert not any(value.is_contiguous() for value in strided[:3])
    inputs = [value.requires_grad_() for value in strided[:3]]
    results = interest_scan(*strided, gru, impl=impl)
    gradients = torch.autograd.grad(sum(value.sum() for value in results[:3]), inputs)  # of a sum: strides of zero
    expected, expected_gradients = run(definition, strided, gru)
    torch.testing.assert_close(results, expected)
    torch.testing.assert_close(gradients, expected_gradients[:3])


# What the states mean ------------------------------------------------------------------------------------------------


def test_hard_state_is_zero_before_the_first_item_of_its_category_and_moves_with_its_items_alone(impl):
    problem, gru = random_problem(), random_gru()
    for sequence in sequences_of(problem):
        if not len(sequence.items):
            continue
        result = interest_scan(*sequence, gru, impl=impl)
        has = F.one_hot(sequence.category, K).bool()
        assert torch.equal(result.present, has.cumsum(0) > 0)
        assert not result.hard[~result.present].any()
        before = torch.cat([torch.zeros(1, K, D, dtype=torch.double), result.hard[:-1]])
        assert torch.equal((result.hard != before).any(-1), has)


def test_hard_states_are_those_of_the_gru_on_the_items_of_the_category(impl):
    problem, gru = random_problem((20,)), random_gru()
    hard = interest_scan(*problem, gru, impl=impl).hard
    for k in range(K):
        own = problem.category == k
        torch.testing.assert_close(hard[own, k], gru(problem.assigned[own].unsqueeze(1))[0].squeeze(1))


def test_soft_state_of_certain_categories_is_the_sum_of_their_items(impl):
    problem, gru = random_problem((20,)), random_gru()
    certain = F.one_hot(problem.category, K).double()
    soft = interest_scan(*problem._replace(probability=certain), gru, impl=impl).soft
    for k in range(K):
        own = problem.category == k
        torch.testing.assert_close(soft[own, k], problem.items[own].cumsum(0))


def test_intensity_is_the_mean_probability_so_far_and_starts_anew_with_each_sequence(impl):
    problem, gru = random_problem(), random_gru()
    intensity = interest_scan(*problem, gru, impl=impl).intensity
    torch.testing.assert_close(intensity.sum(1), torch.ones(len(problem.items), dtype=torch.double))
    first = positions(problem.lengths) == 0
    assert torch.equal(intensity[first], problem.probability[first])
    always = problem._replace(probability=problem.probability[:1].expand_as(problem.probability))
    torch.testing.assert_close(interest_scan(*always, gru, impl=impl).intensity, always.probability)


# Other sequences and later items -------------------------------------------------------------------------------------


def in_other_company(problem):
    """The sequences alone, in reversed order, shuffled, and each beside others with huge numbers; and their places."""
    sequences = sequences_of(problem)
    for number, sequence in enumerate(sequences):
        if len(sequence.items):
            yield [number], sequence
    for order in (range(len(sequences) - 1, -1, -1), torch.randperm(len(sequences)).tolist()):
        yield list(order), joined([sequences[number] for number in order])
    for number in range(len(sequences)):
        huge = [s._replace(items=1e20 * s.items, probability=1e10 * s.probability) for s in sequences]
        huge[number] = sequences[number]
        yield [number if other == number else None for other in range(len(sequences))], joined(huge)


def test_soft_state_and_intensity_of_a_sequence_are_the_same_to_the_bit_in_any_batch_and_order():
    problem, gru = random_problem(dtype=torch.float), random_gru(torch.float)
    whole = interest_scan(*problem, gru, impl="packed")
    for numbers, other in in_other_company(problem):
        result = interest_scan(*other, gru, impl="packed")
        for name in ("soft", "intensity", "present"):
            of_whole = getattr(whole, name).split(problem.lengths.tolist())
            for number, value in zip(numbers, getattr(result, name).split(other.lengths.tolist())):
                assert number is None or torch.equal(value, of_whole[number]), (name, numbers, number)


def test_hard_state_of_a_sequence_is_the_same_in_any_batch_and_order():
    """Up to rounding: the order of additions in the matrix products of the GRU may depend on the size of the batch."""
    problem, gru = random_problem(), random_gru()
    whole = interest_scan(*problem, gru, impl="packed").hard.split(problem.lengths.tolist())
    for numbers, other in in_other_company(problem):
        result = interest_scan(*other, gru, impl="packed").hard.split(other.lengths.tolist())
        for number, value in zip(numbers, result):
            if number is not None:
                torch.testing.assert_close(value, whole[number], rtol=1e-13, atol=1e-13)


def test_gradients_of_a_sequence_are_the_same_in_any_order():
    problem, gru = random_problem(), random_gru()
    lengths = problem.lengths.tolist()
    order = torch.randperm(len(lengths)).tolist()
    weights = random_weights(problem)
    _, gradients = run(interest_scan, problem, gru, weights, impl="packed")
    sequences, parts = sequences_of(problem), [weight.split(lengths) for weight in weights]
    shuffled = [torch.cat([part[number] for number in order]) for part in parts]
    _, others = run(interest_scan, joined([sequences[number] for number in order]), gru, shuffled, impl="packed")
    for gradient, other in zip(gradients[:3], others):
        torch.testing.assert_close(torch.cat([gradient.split(lengths)[number] for number in order]), other)
    torch.testing.assert_close(gradients[3:], others[3:])


def test_infinities_and_nans_stay_in_their_sequence_and_in_the_gradients_of_it(impl):
    for bad in (torch.inf, torch.nan):
        problem, gru = random_problem((4, 4, 7)), random_gru()
        others = torch.arange(15) // 4 != 1  # all but the second sequence
        weights = random_weights(problem)
        expected, expected_gradients = run(interest_scan, problem, gru, weights, impl=impl)
        for value in (problem.items, problem.assigned, weights[0], weights[2]):
            value[5] = bad
        actual, gradients = run(interest_scan, problem, gru, weights, impl=impl)
        for value, expected_value in zip((*actual[:3], *gradients[:3]), (*expected[:3], *expected_gradients[:3])):
            torch.testing.assert_close(value[others], expected_value[others])


def test_causality_later_items_change_nothing_before_them(impl):
    length = 9
    problem, other, gru = random_problem((length, 3)), random_problem((length, 3)), random_gru()
    before = interest_scan(*problem, gru, impl=impl)
    for cut in range(1, length):
        later = (torch.arange(length + 3) >= cut) & (torch.arange(length + 3) < length)
        changed = [a.where(~later.view(-1, *[1] * (a.dim() - 1)), b) for a, b in zip(problem[:4], other)]
        changed[3][cut] = problem.category[cut]
        after = interest_scan(*changed, problem.lengths, gru, impl=impl)
        for name in ("soft", "intensity", "present"):
            assert torch.equal(getattr(after, name)[~later], getattr(before, name)[~later])
        torch.testing.assert_close(after.hard[~later], before.hard[~later], rtol=1e-13, atol=1e-13)
        assert not torch.isclose(after.soft[cut], before.soft[cut]).any()
        assert not torch.isclose(after.intensity[cut], before.intensity[cut]).any()
        of_category = problem.category[cut]
        assert not torch.isclose(after.hard[cut, of_category], before.hard[cut, of_category]).any()


def test_jacobian_is_exactly_zero_but_for_earlier_items_of_the_same_sequence_and_category(impl):
    sequence, category = torch.tensor([0, 0, 0, 2, 2]), torch.tensor([0, 1, 0, 1, 1])
    problem = random_problem((3, 0, 2), num_categories=2)._replace(category=category)
    gru = random_gru()
    jacobians = torch.autograd.functional.jacobian(
        lambda *inputs: tuple(interest_scan(*inputs, *problem[3:], gru, impl=impl))[:3], tuple(problem[:3])
    )
    earlier = (sequence.unsqueeze(1) == sequence) & torch.ones(5, 5).tril().bool()
    same_category, same_feature = torch.eye(2).bool(), torch.eye(D).bool()
    of_category = category == torch.arange(2).unsqueeze(1)
    expected = {
        ("soft", "items"): earlier.view(5, 1, 1, 5, 1) & same_feature.view(D, 1, D),
        ("soft", "probability"): earlier.view(5, 1, 1, 5, 1) & same_category.view(2, 1, 1, 2),
        ("intensity", "probability"): earlier.view(5, 1, 5, 1) & same_category.view(2, 1, 2),
        ("hard", "assigned"): earlier.view(5, 1, 1, 5, 1) & of_category.view(2, 1, 5, 1),
    }
    for name, of_inputs in zip(InterestScan._fields, jacobians):
        for input_name, jacobian in zip(Problem._fields, of_inputs):
            depends = expected.get((name, input_name), torch.tensor(False))
            assert torch.equal(jacobian != 0, depends.expand_as(jacobian)), (name, input_name)


# Precision -----------------------------------------------------------------------------------------------------------


def test_5000_items_in_float32_are_precise_to_1e_5_of_every_value():
    """Half of the features and one of the categories are constant: rounding errors of equal summands all have the same
    sign, so adding them one after the other loses more digits."""
    lengths = (700, 5_000, 3)
    problem, gru = random_problem(lengths, num_categories=2, dtype=torch.float), random_gru(torch.float)
    items = torch.rand(sum(lengths), D) + 0.1  # of one sign, so that the sums are as large as their summands
    items[:, : D // 2] = 0.1
    problem.probability[:, 0] = 0.3
    problem = problem._replace(items=items)
    weights = [torch.rand_like(weight) for weight in random_weights(problem)]
    actual, gradients = run(interest_scan, problem, gru, weights)
    doubled = in_double(problem)
    expected, expected_gradients = run(interest_scan, doubled, gru.double(), weights)
    sums = (doubled.probability.unsqueeze(2) * doubled.items.unsqueeze(1)).split(lengths)
    torch.testing.assert_close(expected.soft, torch.cat([part.cumsum(0) for part in sums]))
    torch.testing.assert_close(actual.soft.double(), expected.soft, rtol=1e-5, atol=0)
    torch.testing.assert_close(actual.intensity.double(), expected.intensity, rtol=1e-5, atol=0)
    torch.testing.assert_close(actual.hard.double(), expected.hard, rtol=1e-5, atol=1e-5)
    for name, gradient, expected_gradient in zip(("items", "probability"), gradients, expected_gradients):
        error = (gradient / expected_gradient - 1).abs().max()
        assert error < 1e-5, (name, error)


# Gradients and repetition --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["items", "probability", "assigned", "gru"])
def test_gradient_of_one_input_alone_is_the_one_among_all(impl, name):
    problem, gru = random_problem((3, 0, 1, 5)), random_gru()
    _, gradients = run(interest_scan, problem, gru, impl=impl)
    together = dict(zip((*Problem._fields[:3], "gru"), (*gradients[:3], gradients[3:])))[name]
    gru.requires_grad_(name == "gru")
    if name != "gru":
        getattr(problem, name).requires_grad_()
    result = interest_scan(*problem, gru, impl=impl)
    reached = {"items": "soft", "probability": "soft intensity", "assigned": "hard", "gru": "hard"}[name].split()
    assert [field for field in InterestScan._fields if getattr(result, field).requires_grad] == reached
    inputs = list(gru.parameters()) if name == "gru" else [getattr(problem, name)]
    alone = torch.autograd.grad(sum(getattr(result, field).sum() for field in reached), inputs)
    torch.testing.assert_close(alone, together if name == "gru" else (together,))


def test_nothing_requires_a_gradient_where_no_input_does(impl):
    problem, gru = random_problem(), random_gru().requires_grad_(False)
    assert not any(value.requires_grad for value in interest_scan(*problem, gru, impl=impl))


def test_repeated_runs_are_equal_to_the_bit(impl):
    problem, gru = random_problem(dtype=torch.float), random_gru(torch.float)
    weights = random_weights(problem)
    (result, gradients), *others = [run(interest_scan, problem, gru, weights, impl=impl) for _ in range(4)]
    for other, other_gradients in others:
        for value, other_value in zip((*result, *gradients), (*other, *other_gradients)):
            assert torch.equal(value, other_value)


def test_no_items_have_no_states(impl):
    for lengths in ((), (0,), (0, 0)):
        result = interest_scan(*random_problem(lengths), random_gru(), impl=impl)
        assert [tuple(value.shape) for value in result] == [(0, K, D), (0, K), (0, K, D), (0, K)]
        assert [value.dtype for value in result] == [torch.double] * 3 + [torch.bool]


def test_no_items_give_gradients_of_zero():
    _, gradients = run(interest_scan, random_problem((0, 0)), random_gru(), impl="packed")
    assert not any(gradient.any() for gradient in gradients)


# Memory --------------------------------------------------------------------------------------------------------------


def test_nothing_as_large_as_the_states_is_kept_for_the_gradients():
    num_categories, saved = 12, []
    problem, gru = random_problem((50, 2, 30, 0, 1), num_categories), random_gru()
    inputs = [value.requires_grad_() for value in problem[:3]]

    def pack(value):
        saved.append(value.numel())
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        result = interest_scan(*inputs, *problem[3:], gru, impl="packed")
    assert saved and max(saved) < result.soft.numel() / 2


MEASURE = """
import sys

import torch

from recbole_sigma.ops import interest_scan


def run(lengths, num_categories, size):
    num_items = int(lengths.sum())
    items, assigned = torch.randn(2, num_items, size)
    probability = torch.rand(num_items, num_categories)
    category = torch.randint(num_categories, (num_items,))
    gru = torch.nn.GRU(size, size)
    before = resident("VmRSS")
    with torch.no_grad():
        result = interest_scan(items, probability, assigned, category, lengths, gru)
    return resident("VmHWM") - before


torch.set_num_threads(1)
torch.manual_seed(0)
lengths = torch.arange(4_000) % 29 + 1
lengths[-1] = 500
sizes = [int(size) for size in sys.argv[1:]]
run(lengths[:10], *sizes)
print(run(lengths, *sizes))
"""


@reads_proc
def test_memory_of_forward_is_less_than_that_of_four_states():
    """Soft and hard states, and two more of their size for a while: far less than with padding to 500 items."""
    num_categories, size = 4, 64
    num_items = int((torch.arange(3_999) % 29 + 1).sum()) + 500
    state = 4 * num_items * num_categories * size
    assert 2 * state <= measured(MEASURE, num_categories, size) < 4 * state  # both results are there at the end


# Arguments -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda p: p._replace(items=p.items.unsqueeze(2), assigned=p.items.unsqueeze(2)),
            r"items \[30, 4, 1\], .*\[M, D\]",
        ),
        (lambda p: p._replace(items=p.items[:, 0], assigned=p.items[:, 0]), r"items \[30\], .* expected \[M, D\]"),
        (lambda p: p._replace(items=p.items[:-1]), r"items \[29, 4\].*assigned \[30, 4\].*expected \[M, D\]"),
        (lambda p: p._replace(probability=p.probability[:, 0]), r"probability \[30\].*expected .*\[M, K\]"),
        (lambda p: p._replace(assigned=p.assigned[:, :-1]), r"assigned \[30, 3\].*expected \[M, D\]"),
        (lambda p: p._replace(assigned=p.assigned[:-1]), r"assigned \[29, 4\].*expected \[M, D\]"),
        (lambda p: p._replace(category=p.category[:-1]), r"category \[29\].*expected .*\[M\]"),
        (lambda p: p._replace(category=p.category.unsqueeze(1)), r"category \[30, 1\].*expected .*\[M\]"),
        (lambda p: p._replace(probability=p.probability[:-1]), "30 items and 29 rows of probability"),
        (lambda p: p._replace(lengths=p.lengths[1:]), "lengths sum to 27; expected 30"),
        (lambda p: p._replace(lengths=torch.cat([p.lengths, p.lengths[:1]])), "lengths sum to 33; expected 30"),
    ],
)
def test_arguments_that_do_not_fit_together_raise_an_error(change, message):
    for impl in IMPLS:
        with pytest.raises(ValueError, match=message):
            interest_scan(*change(random_problem()), random_gru(), impl=impl)


@pytest.mark.parametrize(
    "sizes, settings, message",
    [
        ((D, D), {"num_layers": 2}, r"gru is GRU\(4, 4, num_layers=2\); expected one layer, one direction"),
        ((D, D), {"bidirectional": True}, r"bidirectional=True\); expected one layer, one direction"),
        ((D + 1, D), {}, r"gru is GRU\(5, 4\); expected .* both sizes 4"),
        ((D, D + 1), {}, r"gru is GRU\(4, 5\); expected .* both sizes 4"),
    ],
)
def test_gru_of_another_kind_or_size_raises_an_error(sizes, settings, message):
    for impl in IMPLS:
        with pytest.raises(ValueError, match=message):
            interest_scan(*random_problem(), nn.GRU(*sizes, **settings).double(), impl=impl)


def test_unknown_implementation_raises_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match="impl is 'fast'; expected one of auto, naive, packed"):
        interest_scan(*random_problem(), random_gru(), impl="fast")


# Packing -------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(0, 3))
def test_steps_and_ranks_give_the_packed_sequence_of_pytorch(subsequence, unused):
    subsequence, num_subsequences = torch.tensor(subsequence), max(subsequence) + 1 + unused
    item = torch.arange(len(subsequence))
    subsequences = [item[subsequence == number] for number in range(num_subsequences)]
    longest_first = sorted((s for s in subsequences if len(s)), key=len, reverse=True)
    expected = pack_sequence(longest_first)
    step, rank = steps_and_ranks(subsequence, num_subsequences)
    assert torch.equal(torch.bincount(step), expected.batch_sizes)
    start = expected.batch_sizes.cumsum(0) - expected.batch_sizes
    assert torch.equal(expected.data[start[step] + rank], item)


@pytest.mark.parametrize("num_categories", [1, 2, 3])
def test_no_categories_need_more_than_the_largest_batch_sizes_and_some_need_as_many(num_categories):
    """Every assignment of short sequences is tried."""
    lengths = torch.tensor([4, 0, 1, 2])
    first = torch.tensor([0, 0, 0, 0, 2, 3, 3]) * num_categories
    needed = []
    for category in itertools.product(range(num_categories), repeat=7):
        step, _ = steps_and_ranks(first + torch.tensor(category), 4 * num_categories)
        needed.append(torch.bincount(step, minlength=4))
    assert torch.equal(torch.stack(needed).amax(0), largest_batch_sizes(lengths, num_categories))


def test_more_room_than_the_categories_need_changes_nothing(monkeypatch):
    """As on a GPU, where the CPU does not know the lengths of the subsequences."""
    problem, gru = random_problem(), random_gru()
    exact = interest_scan(*problem, gru)
    monkeypatch.setattr(packed, "batch_sizes_of", lambda step, *sizes: largest_batch_sizes(*sizes))
    torch.testing.assert_close(interest_scan(*problem, gru), exact)
