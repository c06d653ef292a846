"""Numbers of the package on random small data sets are those of ``tests.reference``."""

import pytest

from tests.fuzz.checks import check
from tests.fuzz.made_up import described, make


def check_seed(seed):
    case = make(seed)
    try:
        check(case)
    except Exception as error:
        raise AssertionError(f"{described(case)}\n{type(error).__name__}: {error}") from error


@pytest.mark.parametrize("seed", range(5))
def test_numbers_of_random_data_are_those_of_the_reference(seed):
    check_seed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5, 105))
def test_numbers_of_a_hundred_data_sets(seed):
    check_seed(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(105, 1105))
def test_numbers_of_a_thousand_data_sets(seed):
    check_seed(seed)
