"""Sums over prefixes and suffixes of packed sequences against cumulative sums of each sequence."""

import torch
from hypothesis import example, given
from hypothesis import strategies as st

from recbole_sigma.ops.prefix_sums import PrefixSums, prefix_sums, reach_of, suffix_sums

all_lengths = st.lists(st.integers(0, 40), max_size=6)


def reach(lengths):
    return reach_of(torch.cat([torch.arange(length) for length in (0, *lengths)]))


def sums_of_each(values, lengths):
    """Sums of the prefixes and of the suffixes of each sequence."""
    parts = values.split(lengths) if lengths else [values]
    suffixes = [part.flip(0).cumsum(0).flip(0) for part in parts]
    return torch.cat([part.cumsum(0) for part in parts]), torch.cat(suffixes)


@given(all_lengths, st.sampled_from([(), (3,), (3, 4)]), st.integers(0, 2**32))
@example([1, 2, 4, 8, 16, 32], (3,), 0)
@example([1, 3, 7, 15, 31], (3,), 0)
@example([33, 17, 9, 5, 3, 2], (3,), 0)
@example([0, 5, 0], (), 0)
@example([6, 6, 6], (3, 4), 0)
def test_sums_and_their_gradients_are_those_of_each_sequence(lengths, shape, seed):
    torch.manual_seed(seed)
    values, weights = torch.randn(2, sum(lengths), *shape, dtype=torch.double)
    before = values.clone()
    prefixes, suffixes = sums_of_each(values, lengths)
    close = {"rtol": 1e-13, "atol": 1e-13}
    torch.testing.assert_close(prefix_sums(values, reach(lengths)), prefixes, **close)
    torch.testing.assert_close(suffix_sums(values, reach(lengths)), suffixes, **close)
    assert torch.equal(values, before)
    values.requires_grad_()
    (gradient,) = torch.autograd.grad((PrefixSums.apply(values, *reach(lengths)) * weights).sum(), values)
    torch.testing.assert_close(gradient, sums_of_each(weights, lengths)[1], **close)


@given(all_lengths, st.integers(0, 2**32))
def test_sums_of_whole_numbers_are_exact_and_suffix_sums_are_the_adjoint_of_prefix_sums(lengths, seed):
    torch.manual_seed(seed)
    x, y = torch.randint(-9, 10, (2, sum(lengths), 3)).float()
    prefixes, suffixes = prefix_sums(x, reach(lengths)), suffix_sums(y, reach(lengths))
    assert torch.equal(prefixes, sums_of_each(x, lengths)[0])
    assert torch.equal(suffixes, sums_of_each(y, lengths)[1])
    assert (prefixes * y).sum() == (x * suffixes).sum()


@given(all_lengths, st.integers(0, 2**32))
def test_sums_of_a_sequence_are_the_same_to_the_bit_in_any_batch(lengths, seed):
    torch.manual_seed(seed)
    values = torch.randn(sum(lengths), 3)
    for sums in (prefix_sums, suffix_sums):
        together = sums(values, reach(lengths)).split(lengths) if lengths else []
        for part, of_batch in zip(values.split(lengths) if lengths else [], together):
            assert torch.equal(sums(part, reach([len(part)])), of_batch)
