"""Losses, gradients, the parameters after a step and the scores of every kind of model are what they were."""

import pytest

from tests.invariants.cases import CASES, compute
from tests.invariants.stored import check, same_draws

pytestmark = same_draws


def described(tensor):
    """Sum, length and three values, by which a tensor is known; the first ones of many are those of the padding."""
    exact = tensor.double().flatten()
    return [exact.sum().item(), exact.norm().item(), *exact[len(exact) // 4 :: max(1, len(exact) // 4)][:3].tolist()]


def summary(values):
    """Losses and scores as they are, and under the name of each parameter its gradients, then its sum and length."""
    summed = {}
    for name, value in values.items():
        parameter, _, what = name.partition(": ")
        if what:
            numbers = described(value)
            summed.setdefault(parameter, []).append(numbers[:2] if what == "parameter" else numbers)
        else:
            summed[name] = described(value) if name.endswith("vectors") else value.tolist()
    return summed


@pytest.mark.parametrize("name", CASES)
def test_a_step_and_its_scores_are_the_same(name):
    check(f"losses/{name}", summary(compute(CASES[name])))
