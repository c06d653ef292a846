"""Groups of about equal size, by what a group has to be."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_sigma.report.quantiles import mean_and_error, quantile_groups


def groups_by_definition(values, number):
    """Rows by the number of quantiles below them; quantile i is the value at place i (R - 1) / number, rounded down."""
    ordered = sorted(values)
    quantiles = {ordered[i * (len(values) - 1) // number] for i in range(1, number)} - {ordered[-1]}
    rows = {}
    for row, value in enumerate(values):
        rows.setdefault(sum(quantile < value for quantile in quantiles), []).append(row)
    return [rows[below] for below in sorted(rows)]


@given(
    st.integers(0, 60).flatmap(lambda most: st.lists(st.integers(0, most), min_size=1, max_size=300)),
    st.integers(1, 7),
)
def test_groups_follow_their_definition(values, number):
    groups = quantile_groups(np.array(values), number)
    assert [group.rows.tolist() for group in groups] == groups_by_definition(values, number)
    assert 1 <= len(groups) <= number
    for group in groups:
        own = [values[row] for row in group.rows]
        assert (group.low, group.high) == (min(own), max(own))
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
