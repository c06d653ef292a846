"""Interests against naive loops written from section 3.2 of the paper, one sequence, category and item at a time."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from recbole_sigma.layers import interests as module_of_interests
from recbole_sigma.layers.interests import InterestEncoder, Interests, gumbel_noise
from recbole_sigma.layers.packing import Packing

B, T, K, D = 4, 7, 3, 6
MASKS = {
    "none": torch.ones(B, T, dtype=torch.bool),
    "right": torch.arange(T) < torch.tensor([7, 1, 4, 2]).unsqueeze(1),
    "left": torch.arange(T) >= torch.tensor([0, 6, 3, 5]).unsqueeze(1),
    "interior": torch.tensor(
        [[1, 0, 1, 1, 0, 0, 1], [0, 1, 0, 1, 0, 1, 0], [1, 1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0, 1]]
    ).bool(),
    "empty": torch.arange(T) < torch.tensor([3, 0, 7, 0]).unsqueeze(1),
}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def gumbel(monkeypatch):
    """Noise ``[B, T, K]``; after a call with a mask, the encoder adds the noise of its items in training."""
    noise = torch.randn(B, T, K, dtype=torch.double)

    def use(mask):
        monkeypatch.setattr(module_of_interests, "gumbel_noise", lambda like: noise[mask])
        return noise

    return use


def encoder(training=False, **settings):
    module = InterestEncoder(D, K, **{"category_temperature": 0.5, **settings}).double().train(training)
    with torch.no_grad():
        module.categories.copy_(torch.randn(K, D))  # neither normalised nor orthogonal
    return module


def random_items():
    return torch.randn(B, T, D, dtype=torch.double, requires_grad=True)


def packed(mask):
    return Packing(mask.sum(1))


def at_places(interests, mask):
    """Interests ``[B, T, ...]`` at the places of their items, NaN at padding."""
    places = [value.new_full((*mask.shape, *value.shape[1:]), torch.nan) for value in interests]
    for place, value in zip(places, interests):
        place[mask] = value
    return Interests(*places)


def gru_cell(gru):
    cell = nn.GRUCell(gru.input_size, gru.hidden_size).double()
    del cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh
    cell.weight_ih, cell.weight_hh = gru.weight_ih_l0, gru.weight_hh_l0  # the same parameters, so that gradients meet
    cell.bias_ih, cell.bias_hh = gru.bias_ih_l0, gru.bias_hh_l0
    return cell


def naive_probability(module, item):
    """a_i of one item, and its logits."""
    unit = item / item.norm()
    logits = torch.stack([g / g.norm() @ unit / module.category_temperature for g in module.categories])
    return logits.exp() / logits.exp().sum(), logits


def prefixes(mask):
    """Places of the items of every prefix that ends in an item."""
    for b in range(B):
        for t in range(T):
            if mask[b, t]:
                yield [(b, i) for i in range(t + 1) if mask[b, i]]


def naive_soft(module, items, prefix):
    """Soft interests ``[K, D]`` before the division by their mass."""
    return sum(torch.outer(naive_probability(module, items[i])[0], items[i]) for i in prefix)


def naive_interests(module, items, mask, gumbel=None):
    """Every prefix from scratch; in training the item goes to the category with the highest perturbed logit."""
    cell = gru_cell(module.gru)
    means, log_vars, intensities = [], [], []
    for prefix in prefixes(mask):
        a = {i: naive_probability(module, items[i])[0] for i in prefix}
        belonging = {i: naive_assignment(module, items[i], 0 if gumbel is None else gumbel[i]) for i in prefix}
        present = [any(belonging[i].argmax() == j for i in prefix) for j in range(K)]
        mass = [sum(a[i][j] for i in prefix) for j in range(K)]
        weight = [m * p for m, p in zip(mass, present)] if module.mixture_mask else mass
        softs = naive_soft(module, items, prefix)
        for j in range(K):
            soft = softs[j] / mass[j] if module.soft_interest == "mean" else softs[j]
            hard = torch.zeros(D).double()
            for i in prefix:
                if belonging[i].argmax() == j:
                    hard = cell((belonging[i][j] * items[i]).unsqueeze(0), hard.unsqueeze(0))[0]
            mean = {"both": (soft + hard) / 2, "soft": soft, "hard": hard}[module.interest]
            means.append(mean)
            category = module.categories[j] / module.categories[j].norm()
            log_vars.append(module.log_var_mlp(torch.cat([category, mean])))
            intensities.append(weight[j] / sum(weight))
    return Interests(
        torch.stack(means).view(-1, K, D), torch.stack(log_vars).view(-1, K, D), torch.stack(intensities).view(-1, K)
    )


def naive_assignment(module, item, gumbel):
    """One-hot category of an item; its gradient is that of the softmax (straight through)."""
    logits = naive_probability(module, item)[1] + gumbel
    soft = logits.softmax(-1)
    return F.one_hot(logits.argmax(), K) + soft - soft.detach()


# Against the definition ----------------------------------------------------------------------------------------------


SETTINGS = itertools.product(["both", "soft", "hard"], [False, True], ["sum", "mean"], [False, True])


@pytest.mark.parametrize("mask, settings", [*zip(itertools.cycle(MASKS), SETTINGS)], ids=str)
def test_interests_and_their_gradients_equal_a_naive_double_loop(mask, settings, gumbel):
    """Every combination of settings, and every value of a setting with every mask, which knows nothing of settings."""
    interest, mixture_mask, soft_interest, training = settings
    module = encoder(training, soft_interest=soft_interest, mixture_mask=mixture_mask, interest=interest)
    items, mask = random_items(), MASKS[mask]
    noise = gumbel(mask)
    expected = naive_interests(module, items, mask, noise if training else None)
    actual = module(items[mask], packed(mask))
    for name, value, expected_value in zip(Interests._fields, actual, expected):
        torch.testing.assert_close(value, expected_value, msg=name)

    weights = [torch.randn_like(value) for value in actual]
    inputs = [items, *(parameter for parameter in module.parameters() if parameter.requires_grad)]
    gradients = torch.autograd.grad(sum((w * v).sum() for w, v in zip(weights, actual)), inputs)
    expected_gradients = torch.autograd.grad(sum((w * v).sum() for w, v in zip(weights, expected)), inputs)
    for gradient, expected_gradient in zip(gradients, expected_gradients):
        torch.testing.assert_close(gradient, expected_gradient)


def test_soft_interests_alone_leave_the_gru_out_of_the_training():
    trained = {name for name, parameter in encoder(interest="soft").named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in encoder().named_parameters() if not name.startswith("gru")}


@pytest.mark.parametrize("mixture_mask", [False, True])
def test_intensity_sums_to_one_from_the_first_item_on(mixture_mask):
    for mask in MASKS.values():
        intensity = encoder(mixture_mask=mixture_mask)(random_items()[mask], packed(mask)).intensity
        assert (intensity >= 0).all()
        torch.testing.assert_close(intensity.sum(-1), torch.ones(int(mask.sum())).double())


def test_masked_intensity_is_zero_for_categories_without_an_item_and_only_for_them():
    module = encoder(mixture_mask=True)
    items = module.categories[[0, 0, 2, 0, 1, 1, 2] * B].detach()  # each item stands in its category
    intensity = module(items, packed(MASKS["none"])).intensity[:T]
    seen = torch.tensor([[1, 0, 0], [1, 0, 0], [1, 0, 1], [1, 0, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]]).bool()
    assert torch.equal(intensity > 0, seen)


def test_category_without_an_item_has_a_hard_interest_of_zero():
    module, mask = encoder(), MASKS["none"]
    items = module.categories[[0, 0, 2, 0, 0, 0, 0]].expand(B, T, D).detach()
    mean, _ = module.mean_and_intensity(items[mask], packed(mask))
    soft = torch.stack([naive_soft(module, items, prefix) for prefix in prefixes(mask)])
    hard = (2 * mean - soft).view(B, T, K, D).norm(dim=-1)
    assert (hard[:, :, 0] > 0.01).all() and (hard[:, 2:, 2] > 0.01).all()
    assert (hard[:, :, 1] < 1e-12).all() and (hard[:, :2, 2] < 1e-12).all()


def test_mean_soft_interest_does_not_grow_with_the_history():
    module = encoder(soft_interest="mean")
    item, mask = torch.randn(D, dtype=torch.double), MASKS["none"]
    hard = torch.zeros(T, K, D, dtype=torch.double)
    hard[:, module.category_logits(item).argmax()] = module.gru(item.expand(T, D))[0]
    soft = 2 * at_places(module(item.expand(B * T, D), packed(mask)), mask).mean - hard
    torch.testing.assert_close(soft, item.expand(B, T, K, D))


# Causality and padding -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True], ids=["argmax", "gumbel"])
def test_causality_interests_do_not_depend_on_later_items_or_padding(training, gumbel):
    module, items, mask = encoder(training), random_items(), MASKS["none"]

    def interests(items, mask):
        gumbel(mask)
        return at_places(module(items[mask], packed(mask)), mask)

    whole = interests(items, mask)
    for cut in range(1, T):
        changed, fewer = items.detach().clone(), mask.clone()
        changed[:, cut:] = torch.randn(B, T - cut, D)
        fewer[:, cut:] = False
        for other in (interests(changed, mask), interests(items, fewer), interests(changed, fewer)):
            for value, other_value in zip(whole, other):
                torch.testing.assert_close(value[:, :cut], other_value[:, :cut])
        for value, other_value in zip(whole, interests(changed, mask)):
            assert not torch.isclose(value[:, cut], other_value[:, cut]).any()


@pytest.mark.parametrize("soft_interest", ["sum", "mean"])
def test_padding_at_any_place_and_other_sequences_change_nothing(soft_interest):
    module, items = encoder(soft_interest=soft_interest), random_items()
    for mask in MASKS.values():
        padded = module(items[mask], packed(mask))
        at_the_end = torch.arange(T) < mask.sum(1, keepdim=True)
        for value, other_value in zip(padded, module(items[mask], packed(at_the_end))):
            torch.testing.assert_close(value, other_value)
        for b in range(B):
            own = items[b, mask[b]]
            alone = module(own, Packing(torch.tensor([len(own)])))
            for value, alone_value in zip(at_places(padded, mask), alone):
                torch.testing.assert_close(value[b, mask[b]], alone_value)


# Assignment to categories --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True], ids=["argmax", "gumbel"])
def test_categories_get_a_gradient_through_the_hard_interests_alone(training):
    module, items, mask = encoder(training), random_items(), MASKS["right"]
    mean, _ = module.mean_and_intensity(items[mask], packed(mask))
    soft = torch.stack([naive_soft(module, items, prefix) for prefix in prefixes(mask)])
    hard = 2 * mean - soft
    of_items, of_categories = torch.autograd.grad(hard.square().sum(), (items, module.categories))
    least = 1e-6  # more than the rounding errors of the difference
    assert of_categories.isfinite().all() and (of_categories.abs() > least).any(dim=1).all()
    assert torch.equal((of_items.abs() > least).any(-1), mask)


def test_items_go_to_categories_with_their_probabilities_in_training_and_to_the_best_in_evaluation():
    draws = 3_000
    module = encoder(training=True)
    # One direction, so one probability, but a new length at each step: the GRU's state never settles.
    items = torch.randn(D, dtype=torch.double) * torch.linspace(0.5, 2, draws).view(draws, 1)
    mask, probability = torch.ones(1, draws, dtype=torch.bool), module.category_logits(items[0]).softmax(-1)

    def frequencies():
        with torch.no_grad():
            mean, _ = module.mean_and_intensity(items, packed(mask))
            steps = 2 * mean.diff(dim=0) - probability.unsqueeze(-1) * items[1:].unsqueeze(1)  # of the hard interests
        changes = (steps.abs() > 1e-9).any(-1).double()  # only the state of the item's category moves on
        return changes.mean(0)

    standard_error = (probability * (1 - probability) / draws).sqrt()
    assert ((frequencies() - probability).abs() < 5 * standard_error + 1 / draws).all()
    module.eval()
    torch.testing.assert_close(frequencies(), F.one_hot(probability.argmax(), K).double())


def test_gumbel_noise_has_the_moments_of_the_standard_gumbel_distribution():
    draws = 100_000
    noise = gumbel_noise(torch.empty(draws))
    distribution = torch.distributions.Gumbel(0.0, 1.0)
    assert abs(noise.mean() - distribution.mean) < 5 * distribution.stddev / draws**0.5
    assert abs(noise.var() / distribution.variance - 1) < 5 * (4.4 / draws) ** 0.5  # its kurtosis is 5.4


def test_category_probabilities_ignore_the_lengths_of_items_and_categories():
    module, items = encoder(), random_items()
    logits = module.category_logits(items)
    with torch.no_grad():
        module.categories *= torch.tensor([[0.1], [3.0], [20.0]])
    torch.testing.assert_close(module.category_logits(7 * items), logits)
    assert logits.abs().max() <= 1 / module.category_temperature


@pytest.mark.parametrize("soft_interest", ["sum", "mean"])
def test_probabilities_near_and_below_the_range_of_float32_leave_everything_finite(soft_interest):
    """The reciprocals of some of these probabilities are no float32 numbers: divisions by them lose the gradient."""
    for gap in (10, 60, 75, 90, 100, 200):
        module = encoder(soft_interest=soft_interest, category_temperature=1 / gap).float()
        with torch.no_grad():
            module.categories.copy_(torch.eye(K, D))
        items = module.categories[0].expand(B * T, D).clone().detach().requires_grad_()
        assert module.category_logits(items)[0].tolist() == pytest.approx([gap, 0, 0])
        interests = module(items, packed(MASKS["none"]))
        torch.testing.assert_close(interests.intensity.sum(-1), torch.ones(B * T))
        log_intensity = interests.intensity[interests.intensity > 0].log()  # as in the mixture
        value = log_intensity.sum() + 100 * (interests.mean.sum() + interests.log_var.sum())
        for gradient in torch.autograd.grad(value, [items, *module.parameters()]):
            assert gradient.isfinite().all(), gap
