"""Loss terms against ``torch.distributions`` and against definitions written out in loops, in float64."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence
from torch.nn import functional as F

from recbole_sigma import losses

N, K, D, V = 7, 4, 5, 11
ABOVE_FLOAT32 = math.log(torch.finfo(torch.float32).max) + 10  # exp of it overflows


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def normal(mean, log_var):
    return Independent(Normal(mean, (log_var / 2).exp()), 1)


def mixture(weights, mean, log_var):
    return MixtureSameFamily(Categorical(probs=weights), normal(mean, log_var))


def random_mixture(*shape):
    weights = torch.rand(*shape, K, dtype=torch.double)
    weights /= weights.sum(-1, keepdim=True)
    return weights, torch.randn(*shape, K, D, dtype=torch.double), torch.randn(*shape, K, D, dtype=torch.double)


def gradients(value, *tensors):
    return torch.autograd.grad(value, tensors)


# KL of (7) -----------------------------------------------------------------------------------------------------------


def test_interest_kl_equals_kl_divergence_from_the_standard_normal():
    mean, log_var = torch.randn(2, N, K, D, dtype=torch.double)
    standard = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    torch.testing.assert_close(losses.gaussian_kl(mean, log_var), kl_divergence(normal(mean, log_var), standard))


def test_interest_kl_is_zero_at_the_prior_only():
    zero = torch.zeros(3, D)
    assert losses.gaussian_kl(zero, zero).abs().max() == 0
    for mean, log_var in ((0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1)):
        assert (losses.gaussian_kl(zero + mean, zero + log_var) > 0).all()


# The mixture of (10) and the estimate (12) ---------------------------------------------------------------------------


def test_gaussian_log_prob_equals_normal_log_prob():
    z, mean, log_var = torch.randn(3, N, D, dtype=torch.double)
    torch.testing.assert_close(losses.gaussian_log_prob(z, mean, log_var), normal(mean, log_var).log_prob(z))


@pytest.mark.parametrize("shape", [(), (N,), (2, N)])
def test_mixture_log_density_equals_mixture_same_family(shape):
    parameters = random_mixture(*shape)
    z = torch.randn(*shape, D, dtype=torch.double)
    torch.testing.assert_close(losses.mixture_log_prob(z, *parameters), mixture(*parameters).log_prob(z))


def test_mixture_kl_equals_a_naive_double_loop_over_12():
    weights, component_mean, component_log_var = random_mixture(N)
    z, mean, log_var = torch.randn(3, N, D, dtype=torch.double)

    def density(z, mean, log_var):
        product = 1.0
        for z_d, mean_d, log_var_d in zip(z.tolist(), mean.tolist(), log_var.tolist()):
            var = math.exp(log_var_d)
            product *= math.exp(-((z_d - mean_d) ** 2) / (2 * var)) / math.sqrt(2 * math.pi * var)
        return product

    expected = []
    for n in range(N):
        prior = sum(
            weights[n, j].item() * density(z[n], component_mean[n, j], component_log_var[n, j]) for j in range(K)
        )
        expected.append(math.log(density(z[n], mean[n], log_var[n])) - math.log(prior))
    estimate = losses.mixture_kl(z, mean, log_var, weights, component_mean, component_log_var)
    torch.testing.assert_close(estimate, torch.tensor(expected, dtype=torch.double))


def test_mixture_kl_of_one_component_tends_to_the_closed_form():
    draws = 20_000
    mean, log_var, component_mean, component_log_var = torch.randn(4, N, D, dtype=torch.double)
    closed_form = kl_divergence(normal(mean, log_var), normal(component_mean, component_log_var))
    z = mean + (log_var / 2).exp() * torch.randn(draws, N, D, dtype=torch.double)
    estimates = losses.mixture_kl(
        z, mean, log_var, torch.ones(N, 1), component_mean.unsqueeze(1), component_log_var.unsqueeze(1)
    )
    standard_error = estimates.std(0) / math.sqrt(draws)
    assert ((estimates.mean(0) - closed_form).abs() < 5 * standard_error).all()


def test_mixture_kl_is_zero_where_every_component_is_the_posterior():
    weights, _, _ = random_mixture(N)
    z, mean, log_var = torch.randn(3, N, D, dtype=torch.double)
    components = (t.unsqueeze(1).expand(N, K, D) for t in (mean, log_var))
    torch.testing.assert_close(losses.mixture_kl(z, mean, log_var, weights, *components), torch.zeros(N).double())


def test_components_of_weight_zero_take_no_part():
    weights, mean, log_var = random_mixture(N)
    z = torch.randn(N, D, dtype=torch.double)
    weights = torch.cat([weights[:, :2] / weights[:, :2].sum(-1, keepdim=True), torch.zeros(N, K - 2)], dim=-1)
    parameters = [t.requires_grad_() for t in (z, weights, mean, log_var)]
    value = losses.mixture_log_prob(*parameters)
    torch.testing.assert_close(value, mixture(weights[:, :2], mean[:, :2], log_var[:, :2]).log_prob(z))
    of_z, of_weights, of_mean, of_log_var = gradients(value.sum(), *parameters)
    assert all(gradient.isfinite().all() for gradient in (of_z, of_weights, of_mean, of_log_var))
    assert not any(gradient[:, 2:].any() for gradient in (of_weights, of_mean, of_log_var))
    assert all(gradient[:, :2].all() for gradient in (of_weights, of_mean, of_log_var))


@pytest.mark.parametrize(
    "log_var, distance",
    [
        (-ABOVE_FLOAT32, 0.0),
        (-ABOVE_FLOAT32, 1e-20),
        (-40.0, 1e3),
        (0.0, 1e15),
        (ABOVE_FLOAT32, 0.0),
        (ABOVE_FLOAT32, 1e3),
    ],
)
def test_mixture_of_extreme_values_is_finite_with_finite_gradients(log_var, distance):
    """The float64 value fits into float32, and the float32 value is it: no step on the way overflows."""
    z, mean, component_mean = torch.zeros(D), torch.zeros(D), torch.full((K, D), distance)
    weights = torch.tensor([1 - 1e-30, 1e-30, 0.0, 0.0])
    inputs = [z, mean, torch.full((D,), log_var), weights, component_mean, torch.full((K, D), log_var)]
    exact = losses.mixture_kl(*(t.double() for t in inputs))
    inputs = [t.requires_grad_() for t in inputs]
    value = losses.mixture_kl(*inputs)
    torch.testing.assert_close(value.double(), exact, rtol=1e-4, atol=1e-4)
    assert all(gradient.isfinite().all() for gradient in gradients(value, *inputs))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixture_kl_of_narrow_inputs_is_computed_in_float32(dtype):
    weights, component_mean, component_log_var = random_mixture(N)
    inputs = [*torch.randn(3, N, D).unbind(), weights, component_mean, component_log_var]
    narrow = [t.to(dtype) for t in inputs]
    value = losses.mixture_kl(*narrow)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, losses.mixture_kl(*(t.float() for t in narrow)), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.double])
def test_gaussian_kl_from_equals_torch_distributions(dtype):
    mean, log_var, prior_mean, prior_log_var = torch.randn(4, N, D, dtype=dtype)
    posterior, prior = (Normal(m, (v / 2).exp()) for m, v in ((mean, log_var), (prior_mean, prior_log_var)))
    expected = kl_divergence(posterior, prior).sum(-1)
    torch.testing.assert_close(losses.gaussian_kl_from(mean, log_var, prior_mean, prior_log_var), expected)
    of_standard = losses.gaussian_kl_from(mean, log_var, torch.zeros_like(mean), torch.zeros_like(mean))
    torch.testing.assert_close(of_standard, losses.gaussian_kl(mean, log_var))


# Orthogonality (4) ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["squared", "linear"])
@pytest.mark.parametrize("num_categories", [1, 2, K])
def test_orthogonality_equals_a_double_loop_over_normalised_rows(form, num_categories):
    categories = torch.randn(num_categories, D, dtype=torch.double)
    unit = [row / row.norm() for row in categories]
    products = [(unit[i] @ unit[j]).item() for i in range(num_categories) for j in range(num_categories) if i != j]
    squared = sum(product**2 for product in products) / max(1, len(products))
    expected = squared if form == "squared" else sum(products)
    torch.testing.assert_close(losses.orthogonality(categories, form), torch.tensor(expected, dtype=torch.double))


def test_squared_orthogonality_is_zero_exactly_for_orthogonal_rows():
    orthogonal = torch.linalg.qr(torch.randn(D, K, dtype=torch.double)).Q.T * torch.rand(K, 1, dtype=torch.double)
    assert losses.orthogonality(orthogonal) < 1e-20
    for sign in (1, -1):  # a negative cosine is no better than a positive one
        tilted = orthogonal.clone()
        tilted[0] += 0.01 * sign * orthogonal[1]
        assert losses.orthogonality(tilted) > 1e-8


def test_linear_orthogonality_is_smallest_at_minus_k_where_rows_sum_to_zero():
    rows = F.normalize(torch.randn(D, dtype=torch.double), dim=0)
    opposite = torch.stack([rows, -rows, rows, -rows])
    torch.testing.assert_close(losses.orthogonality(opposite, "linear"), torch.tensor(-4.0, dtype=torch.double))
    random_rows = (torch.randn(4, D, dtype=torch.double) for _ in range(100))
    assert min(losses.orthogonality(rows, "linear").item() for rows in random_rows) > -4


def test_unknown_form_of_orthogonality_is_refused():
    with pytest.raises(ValueError, match="form is 'cubed'.*'squared' or 'linear'"):
        losses.orthogonality(torch.eye(2), "cubed")


# Item prediction (9), (13) -------------------------------------------------------------------------------------------


def test_interest_scores_are_the_best_over_the_interests():
    interests, items = torch.randn(N, K, D), torch.randn(V, D)
    scores = losses.interest_scores(interests, items)
    expected = [[max((u @ v).item() for u in row) for v in items] for row in interests]
    torch.testing.assert_close(scores, torch.tensor(expected))


def test_mixture_scores_are_log_probabilities_of_a_mixture_of_softmaxes_without_the_padding():
    users, items, weights = torch.randn(N, K, D), torch.randn(V, D), torch.rand(N, K).softmax(-1)
    weights[0] = torch.tensor([1.0, *[0.0] * (K - 1)])
    scores = losses.mixture_scores(users, items, weights)
    probability = (users.double() @ items[1:].double().T).softmax(-1)
    expected = (weights.double().unsqueeze(-1) * probability).sum(1).log()
    torch.testing.assert_close(scores[:, 1:].double(), expected, rtol=1e-5, atol=1e-5)
    assert (scores[:, 0] == -torch.inf).all()


def test_mixture_scores_of_very_different_logits_are_finite_and_exact():
    users = torch.tensor([[[1e4, 0.0], [0.0, 1.0]]])
    items = torch.tensor([[5.0, 5.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]])
    scores = losses.mixture_scores(users, items, torch.tensor([[0.25, 0.75]]))
    of_second = torch.tensor([0.0, 1.0, 2.0]).double().softmax(0)
    expected = 0.25 * torch.tensor([1.0, 0.0, 0.0]) + 0.75 * of_second
    torch.testing.assert_close(scores[0, 1:].double(), expected.log())


def test_arguments_may_be_given_by_name():
    mean, log_var = torch.randn(2, N, D)
    assert torch.equal(losses.gaussian_kl(log_var=log_var, mean=mean), losses.gaussian_kl(mean, log_var))
    assert torch.equal(losses.orthogonality(form="linear", categories=mean), losses.orthogonality(mean, "linear"))
