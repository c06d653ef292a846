"""Reparameterised draws of a diagonal Gaussian."""

import math

import pytest
import torch

from recbole_sigma.layers import gaussian


@pytest.mark.parametrize("mean, std", [(0.0, 1.0), (-3.0, 0.1), (5.0, 4.0)])
def test_draws_have_the_mean_and_the_standard_deviation_asked_for(mean, std):
    torch.manual_seed(0)
    draws = 100_000
    sample = gaussian.sample(torch.full((draws,), mean), torch.full((draws,), 2 * math.log(std)))
    assert abs(sample.mean() - mean) < 5 * std / math.sqrt(draws)
    assert abs(sample.std() - std) < 5 * std / math.sqrt(2 * draws)


def test_draw_is_the_mean_and_the_noise_times_the_standard_deviation_with_their_gradients():
    noise = torch.tensor([1.5, -0.5], dtype=torch.double)
    mean = torch.tensor([1.0, 2.0], dtype=torch.double, requires_grad=True)
    log_var = torch.tensor([0.3, -2.0], dtype=torch.double, requires_grad=True)
    draw, std = gaussian.sample(mean, log_var, noise), (log_var.detach() / 2).exp()
    torch.testing.assert_close(draw, mean + std * noise)
    of_mean, of_log_var = torch.autograd.grad(draw.sum(), (mean, log_var))
    torch.testing.assert_close(of_mean, torch.ones(2).double())
    torch.testing.assert_close(of_log_var, noise * std / 2)


def test_noise_is_drawn_from_pytorchs_generator_by_default():
    mean, log_var = torch.randn(2, 5, 3)
    torch.manual_seed(1)
    noise = torch.randn(5, 3)
    torch.manual_seed(1)
    assert torch.equal(gaussian.sample(mean, log_var), gaussian.sample(mean, log_var, noise))


def test_draws_are_independent_and_follow_the_seed():
    def draw(seed):
        torch.manual_seed(seed)
        return gaussian.sample(torch.zeros(2, 1000), torch.zeros(2, 1000))

    first = draw(0)
    assert torch.equal(first, draw(0))
    assert not torch.equal(first, draw(1))
    assert torch.corrcoef(first)[0, 1].abs() < 5 / math.sqrt(1000)
