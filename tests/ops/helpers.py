"""The losses written out from their formulas, and problems to solve with them."""

import math

import torch
from torch.nn import functional as F

from recbole_sigma.ops import interest_cross_entropy, sampled_interest_cross_entropy
from recbole_sigma.ops.interest_cross_entropy import REDUCTIONS as REDUCTIONS
from recbole_sigma.ops.interest_cross_entropy.negative_sampling import sample_negatives

SEED = 5
"""Of the draws."""


def definition(interests, items, target, temperature=1.0, reduce="max"):
    """``logsumexp_v(max_k u_k.v / t) - max_k u_k.target / t``, or the log-sum-exp over v and k together."""
    scores = torch.einsum("nkd,vd->nkv", interests, items) / temperature
    best = scores.amax(1)  # its gradient is shared equally by equal scores
    of_target = best.gather(1, target.unsqueeze(1)).squeeze(1)
    logits = best if reduce == "max" else scores.flatten(1)
    # log_softmax, whose gradient sums to one even if the log-sum-exp is too large to have digits left for the sum
    highest = logits.detach().argmax(1, keepdim=True)
    return (logits.gather(1, highest).squeeze(1) - of_target) - logits.log_softmax(1).gather(1, highest).squeeze(1)


def usual(interests, items, target, temperature=1.0, reduce="max"):
    """The same loss by PyTorch's usual functions, all in the precision of the arguments."""
    scores = interests @ items.T / temperature
    best = scores.amax(1)
    if reduce == "max":
        return F.cross_entropy(best, target, reduction="none")
    return scores.flatten(1).logsumexp(1) - best.gather(1, target.unsqueeze(1)).squeeze(1)


def probability(row, num_items, proposal):
    """Probability of a row in one draw."""
    if proposal == "uniform":
        return 1 / num_items
    return math.log((row + 2) / (row + 1)) / math.log(num_items + 1)


def generator(device="cpu", seed=SEED):
    return torch.Generator(device).manual_seed(seed)


def draw(num_items, num_samples, proposal, device="cpu"):
    """The rows that ``sampled`` draws."""
    return sample_negatives(num_items, num_samples, proposal, device, generator(device))[0].tolist()


def sampled_definition(interests, items, target, *, num_samples, proposal="uniform", temperature=1.0, reduce="max"):
    """``log Z - max_k u_k.target / t``, in a loop over rows and draws; a draw of the target does not count in Z."""
    draws = draw(len(items), num_samples, proposal, items.device)
    result = []
    for u, own in zip(interests, target.tolist()):

        def mass(v):
            scores = u @ items[v] / temperature
            return scores.amax().exp() if reduce == "max" else scores.exp().sum()

        total = mass(own)
        for v in draws:
            if v != own:
                total = total + mass(v) / (num_samples * probability(v, len(items), proposal))
        result.append(total.log() - (u @ items[own]).amax() / temperature)
    return torch.stack(result)


def sampled(interests, items, target, **settings):
    settings.setdefault("generator", generator(items.device))
    return sampled_interest_cross_entropy(interests, items, target, **settings)


def random_problem(num_rows, num_interests, num_dimensions, num_items, dtype=torch.float64):
    """Interests, items and targets, where the scores have variance 1."""
    scale = num_dimensions**-0.25
    interests = scale * torch.randn(num_rows, num_interests, num_dimensions, dtype=torch.float64)
    items = scale * torch.randn(num_items, num_dimensions, dtype=torch.float64)
    return interests.to(dtype), items.to(dtype), torch.randint(num_items, (num_rows,))


def exact_problem(num_rows, num_interests, num_dimensions, num_items, dtype=torch.float32):
    """The same of small multiples of 1/4: sums of their products are exact in float32, and many scores are equal."""
    interests = torch.randint(-8, 9, (num_rows, num_interests, num_dimensions)).to(dtype) / 4
    items = torch.randint(-8, 9, (num_items, num_dimensions)).to(dtype) / 4
    return interests, items, torch.randint(num_items, (num_rows,))


def clear_problem(num_rows, num_interests, num_dimensions, num_items, dtype):
    """A random problem where float32 and float64 agree on which interest scores an item best."""
    while True:
        interests, items, target = random_problem(num_rows, num_interests, num_dimensions, num_items, dtype)
        if num_interests == 1:
            return interests, items, target
        best, second = (interests.double() @ items.double().T).topk(2, dim=1).values.unbind(1)
        if dtype != torch.float32 or (best - second).min() > 1e-5:
            return interests, items, target


def loss_and_gradients(function, interests, items, *arguments, weight=None, **settings):
    """Loss, and the gradients of its (weighted) sum with respect to interests and items."""
    interests, items = interests.detach().requires_grad_(), items.detach().requires_grad_()
    loss = function(interests, items, *arguments, **settings)
    weight = torch.ones_like(loss) if weight is None else weight.to(loss)
    return loss.detach(), *torch.autograd.grad((loss * weight).sum(), (interests, items))


def distance(actual, expected):
    """Norm of the error, relative to the norm of the expected value."""
    assert actual.shape == expected.shape
    return ((actual.double() - expected).norm() / expected.norm()).item()


def assert_follows_definition(
    interests, items, target, tolerance=1e-11, weight=None, temperature=1.0, reduce="max", **impl
):
    """Loss and gradients equal the definition in float64 on the same arguments."""
    settings = {"temperature": temperature, "reduce": reduce}
    expected = loss_and_gradients(definition, interests.double(), items.double(), target, weight=weight, **settings)
    actual = loss_and_gradients(interest_cross_entropy, interests, items, target, weight=weight, **settings, **impl)
    for name, value, expected_value in zip(("loss", "of interests", "of items"), actual, expected):
        close = torch.isclose(value.double(), expected_value, rtol=tolerance, atol=tolerance)
        assert close.all(), f"{name}: {(value - expected_value).abs().max()}"


def assert_copies_get_together_what_one_would(function, dtype, copies, apart, seed, num_items=300, **settings):
    """The promise for equal (``apart`` = 0) and nearly equal interests, of a problem whose products round.

    ``apart`` is the largest difference between the copies of an interest, relative to its values. A copy may get all
    or nothing of the gradient. Beside the copies there is another interest.
    """
    torch.manual_seed(seed)
    single, items, target = random_problem(9, 2, 24, num_items, torch.float32)
    single, items = single.to(dtype), items.to(dtype)
    alike = single[:, :1].repeat(1, copies, 1)
    alike[:, 1:] += (apart * alike[:, 1:].float() * (2 * torch.rand_like(alike[:, 1:].float()) - 1)).to(dtype)
    device = settings.pop("device", "cpu")
    one, several, items, target = (x.to(device) for x in (single, torch.cat([alike, single[:, 1:]], 1), items, target))
    expected = loss_and_gradients(function, one, items, target, **settings)
    loss, of_several, of_items = loss_and_gradients(function, several, items, target, **settings)
    together = torch.cat([of_several[:, :copies].double().sum(1, keepdim=True), of_several[:, copies:].double()], 1)
    tolerance = 20 * (apart + torch.finfo(dtype).eps)
    for value, of_one in zip((loss, together, of_items), expected):
        assert distance(value, of_one.double()) < tolerance
