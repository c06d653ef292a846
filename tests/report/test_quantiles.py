"""Groups of about equal size, by what a group has to be."""

import math

import numpy as np
import pytest

from recbole_sigma.report.quantiles import mean_and_error, quantile_groups


@pytest.mark.parametrize("seed", range(20))
def test_every_row_is_in_one_group_and_equal_values_are_together(seed):
    generator = np.random.default_rng(seed)
    values = generator.integers(0, generator.integers(1, 40), generator.integers(1, 300))
    groups = quantile_groups(values, 5)
    assert sorted(np.concatenate([group.rows for group in groups])) == list(range(len(values)))
    assert 1 <= len(groups) <= 5
    for group in groups:
        assert (group.low, group.high) == (values[group.rows].min(), values[group.rows].max())
    for lower, higher in zip(groups, groups[1:]):
        assert lower.high < higher.low


def test_groups_of_different_values_are_of_one_size():
    groups = quantile_groups(np.random.default_rng(0).permutation(1000), 5)
    assert all(199 <= len(group.rows) <= 201 for group in groups)


def test_a_single_value_is_a_single_group():
    (group,) = quantile_groups(np.full(7, 3), 5)
    assert (group.low, group.high, group.label, len(group.rows)) == (3, 3, "3", 7)
    assert quantile_groups(np.zeros(0, dtype=int), 5) == []


def test_the_standard_error_is_that_of_the_mean():
    """Means of many samples scatter by it."""
    generator = np.random.default_rng(0)
    samples = generator.random((2000, 50)) < 0.3
    errors = [mean_and_error(sample.astype(float))[1] for sample in samples]
    assert np.mean(errors) == pytest.approx(samples.mean(1).std(), rel=0.05)
    assert math.isnan(mean_and_error(np.ones(1))[1])
