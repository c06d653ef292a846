"""The context of the decoder against its formula, with the modules of PyTorch."""

import torch
from torch.nn import functional as F

from recbole_sigma.layers.interest_context import InterestContext

M, K, D = 5, 3, 4


def test_decoder_reads_z_and_the_mean_of_the_mixture():
    torch.manual_seed(0)
    context = InterestContext(D, dropout=0.5).double().eval()
    with torch.no_grad():
        for parameter in context.parameters():
            parameter.copy_(torch.randn_like(parameter))
    z, mean = torch.randn(M, D, dtype=torch.double), torch.randn(M, K, D, dtype=torch.double)
    intensity = torch.rand(M, K, dtype=torch.double).softmax(-1)
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(intensity),
        torch.distributions.Independent(torch.distributions.Normal(mean, torch.ones_like(mean)), 1),
    )
    normed = F.layer_norm(mixture.mean, (D,), context.prior_norm.weight, context.prior_norm.bias)
    expected = F.layer_norm(z + context.gain * normed, (D,), context.norm.weight, context.norm.bias)
    torch.testing.assert_close(context(z, mean, intensity), expected)


def test_context_is_dropped_out_in_training_alone():
    torch.manual_seed(0)
    context = InterestContext(D, dropout=0.5)
    arguments = torch.randn(M, D), torch.randn(M, K, D), torch.full((M, K), 1 / K)
    assert not torch.equal(context(*arguments), context(*arguments))
    context.eval()
    assert torch.equal(context(*arguments), context(*arguments))
