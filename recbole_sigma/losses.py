"""Loss terms of Gaussian and mixture VAEs, as pure functions on tensors.

They run in the type of their arguments, also inside autocast. Equation numbers are those of SIGMA (Li et al.,
DASFAA 2025).

Shapes: ``N`` positions, ``K`` components or interests, ``D`` dimensions, ``V`` items.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.linalg import vecdot
from torch.nn import functional as F

from recbole_sigma.precision import at_least_float32, without_autocast


@without_autocast
def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL of N(mean, exp(log_var)) from N(0, I) in nats, summed over dimensions, as (7) with its factor 1/2.

    Args:
        mean, log_var: ``[..., D]``.

    Returns:
        ``[...]``.
    """
    return 0.5 * ((log_var.expm1() - log_var).sum(-1) + vecdot(mean, mean))


@without_autocast
def gaussian_kl_from(mean: Tensor, log_var: Tensor, prior_mean: Tensor, prior_log_var: Tensor) -> Tensor:
    """KL of N(mean, exp(log_var)) from N(prior_mean, exp(prior_log_var)) in nats, summed over dimensions.

    Args:
        mean, log_var, prior_mean, prior_log_var: ``[..., D]``.

    Returns:
        ``[...]``.
    """
    excess = log_var - prior_log_var
    error = (mean - prior_mean) * torch.exp(-0.5 * prior_log_var)
    return 0.5 * ((excess.expm1() - excess).sum(-1) + vecdot(error, error))


@without_autocast
def gaussian_log_prob(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Log-density of the diagonal Gaussian N(mean, exp(log_var)) at z.

    Args:
        z, mean, log_var: ``[..., D]``, broadcast.

    Returns:
        ``[...]`` in nats.
    """
    error = (z - mean) * torch.exp(-0.5 * log_var)  # exp(-log_var) would overflow sooner
    return -0.5 * (vecdot(error, error) + log_var.sum(-1) + mean.shape[-1] * math.log(2 * math.pi))


@without_autocast
def mixture_log_prob(z: Tensor, weights: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Log-density of the Gaussian mixture (10), by log-sum-exp in float32 or wider.

    Args:
        z: ``[..., D]``.
        weights: ``[..., K]``, non-negative, summing to 1; a component of weight 0 takes no part.
        mean, log_var: ``[..., K, D]``.

    Returns:
        ``[...]``.
    """
    z, weights, mean, log_var = (at_least_float32(t) for t in (z, weights, mean, log_var))
    empty = weights <= 0
    log_weights = weights.masked_fill(empty, 1).log().masked_fill(empty, -math.inf)
    return torch.logsumexp(log_weights + gaussian_log_prob(z.unsqueeze(-2), mean, log_var), dim=-1)


@without_autocast
def mixture_kl(
    z: Tensor, mean: Tensor, log_var: Tensor, weights: Tensor, component_mean: Tensor, component_log_var: Tensor
) -> Tensor:
    """One-sample estimate (12) of the KL of the posterior N(mean, exp(log_var)) from the mixture prior (10), at z.

    Args:
        z, mean, log_var: ``[..., D]``; z is a draw from the posterior.
        weights: ``[..., K]``.
        component_mean, component_log_var: ``[..., K, D]``.

    Returns:
        ``[...]``; single values may be negative, their mean over draws is not.
    """
    posterior = gaussian_log_prob(*(at_least_float32(t) for t in (z, mean, log_var)))
    return posterior - mixture_log_prob(z, weights, component_mean, component_log_var)


@without_autocast
def orthogonality(categories: Tensor, form: str = "squared") -> Tensor:
    """Constraint (4) on the category embeddings, whose rows are L2-normalised first.

    Args:
        categories: ``[K, D]``.
        form: "squared", the mean of the squared off-diagonal cosines, smallest for pairwise orthogonal rows;
            "linear", their plain sum as printed in (4), smallest where the rows sum to zero.

    Returns:
        A scalar, 0 for a single category.
    """
    num_categories = len(categories)
    unit = F.normalize(categories, dim=-1)
    cosines = unit @ unit.T
    off_diagonal = cosines - torch.diag(cosines.diagonal())
    if form == "squared":
        return off_diagonal.square().sum() / max(1, num_categories * (num_categories - 1))
    if form == "linear":
        return off_diagonal.sum()
    raise ValueError(f"form is {form!r}; expected 'squared' or 'linear'")


@without_autocast
def mixture_scores(users: Tensor, items: Tensor, weights: Tensor) -> Tensor:
    """Log-probability of each item under a mixture of softmaxes, ``log sum_k w_k softmax_v(u_k . v)``.

    Args:
        users: ``[N, K, E]``.
        items: ``[V, E]``, of which row 0 is the padding, with a probability of 0.
        weights: w, ``[N, K]``, which sum to 1 over K.

    Returns:
        ``[N, V]`` in nats, in float32 or wider.
    """
    logits = at_least_float32(users @ items.T)  # [N, K, V]
    logits[..., 0] = -math.inf
    return torch.logsumexp(logits.log_softmax(-1) + weights.log().unsqueeze(-1), 1)


def interest_scores(interests: Tensor, items: Tensor) -> Tensor:
    """Best score of each item over the interests, the maximum in (9).

    Args:
        interests: ``[N, K, D]``.
        items: ``[V, D]``.

    Returns:
        ``[N, V]``.
    """
    scores = interests @ items.T  # [N, K, V]
    return scores.squeeze(1) if interests.shape[1] == 1 else scores.amax(1)
