"""The average of the history against its definition, one item, group and feature at a time."""

import math

import pytest
import torch

from recbole_sigma.layers.history_average import HistoryAverage
from recbole_sigma.layers.packing import Packing

D, LONGEST = 6, 7
LENGTHS = torch.tensor([3, 7, 0, 1, 4])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def average(num_groups, learnt=True):
    module = HistoryAverage(D, num_groups, LONGEST).double()
    if learnt:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(torch.randn_like(parameter))
    return module


def naive(module, sequence):
    """``sum_{i<=t} softmax_i(b[t - i]) x_i``, times the gain of each feature."""
    rows = []
    for t in range(len(sequence)):
        row = []
        for feature in range(D):
            bias = module.distance_bias[feature * len(module.distance_bias) // D]
            weights = [bias[t - i].exp() for i in range(t + 1)]
            row.append(module.gain[feature] * sum(w * x for w, x in zip(weights, sequence[:, feature])) / sum(weights))
        rows.append(torch.stack(row))
    return torch.stack(rows)


@pytest.mark.parametrize("num_groups", [1, 2, 3, 6])
def test_average_and_its_gradients_equal_a_naive_loop_over_each_sequence_alone(num_groups):
    module = average(num_groups)
    x = torch.randn(int(LENGTHS.sum()), D, dtype=torch.double, requires_grad=True)
    actual = module(x, Packing(LENGTHS))
    expected = torch.cat([naive(module, sequence) for sequence in x.split(LENGTHS.tolist()) if len(sequence)])
    torch.testing.assert_close(actual, expected)
    inputs, weights = [x, *module.parameters()], torch.randn_like(actual)
    for gradients in zip(
        torch.autograd.grad((weights * actual).sum(), inputs), torch.autograd.grad((weights * expected).sum(), inputs)
    ):
        torch.testing.assert_close(*gradients)


def test_weights_sum_to_one_wherever_the_item_stands():
    module = average(2)
    constant = torch.randn(D, dtype=torch.double)
    with torch.no_grad():
        averages = module(constant.expand(int(LENGTHS.sum()), D), Packing(LENGTHS))
    torch.testing.assert_close(averages, (module.gain * constant).expand_as(averages))


def test_a_new_average_forgets_fastest_in_the_first_group_and_slowest_in_the_last():
    module = average(3, learnt=False)
    ratio = (module.distance_bias[:, 1:] - module.distance_bias[:, :-1]).exp()
    expected = torch.tensor([math.exp(-0.3), math.exp(-0.3 / math.sqrt(10)), math.exp(-0.03)]).double()
    torch.testing.assert_close(ratio, expected.unsqueeze(1).expand_as(ratio), rtol=1e-6, atol=0)
    assert (module.gain == 1).all()
