"""GELU against that of PyTorch."""

import pytest
import torch
from torch.nn import functional as F

from recbole_sigma.layers.gelu import GELU


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_values_and_gradients_are_those_of_gelu(dtype):
    torch.manual_seed(0)
    for shape in ((5, 3), (0, 4), (2, 3, 4)):
        x, grad = torch.randn(2, *shape, dtype=dtype).unbind()
        x = x.clone().requires_grad_()
        wide = x.detach().double().requires_grad_()
        out, expected = GELU()(x), F.gelu(wide)
        assert out.dtype == dtype
        torch.testing.assert_close(out, expected.to(dtype))
        (gradient,) = torch.autograd.grad(out, x, grad)
        torch.testing.assert_close(gradient, torch.autograd.grad(expected, wide, grad.double())[0].to(dtype))


def test_onednn_is_as_it_was_afterwards():
    for enabled in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.backends.mkldnn, "enabled", enabled)
            GELU()(torch.ones(2, requires_grad=True)).sum().backward()
            assert torch.backends.mkldnn.enabled == enabled
