"""Dropout from 16 random bits a number, against what dropout is."""

import pytest
import torch

from recbole_sigma.layers.dropout import LEVELS, Dropout

DRAWS = 400_000


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_numbers_are_dropped_with_probability_p_and_the_others_scaled_so_that_the_mean_stays(p):
    out = Dropout(p)(torch.ones(DRAWS))
    dropped = (out == 0).double().mean().item()
    assert abs(dropped - p) < 5 * (p * (1 - p) / DRAWS) ** 0.5
    kept = out[out != 0]
    assert torch.equal(kept, kept[:1].expand_as(kept))
    assert kept[0].item() == pytest.approx(1 / (1 - p), abs=2 / (LEVELS * (1 - p) ** 2))
    assert (1 - round(p * LEVELS) / LEVELS) * kept[0].item() == pytest.approx(1, abs=1e-6)


def test_neighbours_are_dropped_independently():
    """Four draws come from one random word."""
    kept = Dropout(0.5)(torch.ones(DRAWS)).view(-1, 4).bool()
    patterns = (kept * torch.tensor([1, 2, 4, 8])).sum(1).bincount(minlength=16) / len(kept)
    assert (patterns - 1 / 16).abs().max() < 5 * (1 / 16 / len(kept)) ** 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shape_and_type_are_kept_and_the_gradient_is_the_mask(dtype):
    for shape in ((), (0,), (1,), (7,), (3, 5), (2, 3, 4)):
        x = torch.ones(shape, dtype=dtype, requires_grad=True)
        out = Dropout(0.5)(x)
        assert (out.shape, out.dtype) == (x.shape, x.dtype)
        (gradient,) = torch.autograd.grad(out.sum(), x)
        assert torch.equal(gradient, out.detach())


@pytest.mark.parametrize("p", [1e-9, 1 - 1e-9])
def test_the_nearest_probability_that_16_bits_have_is_taken_and_everything_stays_finite(p):
    out = Dropout(p)(torch.ones(DRAWS))
    assert out.isfinite().all()
    assert out.count_nonzero() == DRAWS if p < 0.5 else out.count_nonzero() < 100


def test_nothing_is_dropped_in_evaluation_or_at_probability_zero():
    x = torch.randn(10)
    assert Dropout(0.5).eval()(x) is x and Dropout(0.0)(x) is x


def test_a_seed_fixes_what_is_dropped():
    def draw(seed):
        torch.manual_seed(seed)
        return Dropout(0.5)(torch.ones(100))

    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))
