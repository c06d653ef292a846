"""SIGMA whose interests rank: a posterior that sees the target, and components that are models (docs/interests.md)."""

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from recbole_sigma.errors import ConfigError
from recbole_sigma.layers import gaussian
from tests.model.helpers import NUM_ITEMS, build_sigma, packed, random_sigma

SEQUENCES = [[3, 7, 7, 12, 1, 20], [5, 9], [20, 4, 11, 3, 8, 2, 6], [9, 9, 14, 5]]


def normal(mean, log_var):
    return Independent(Normal(mean, (log_var / 2).exp()), 1)


def negative_log_softmax(user, catalog, target):
    return -torch.stack([user @ item for item in catalog]).log_softmax(0)[target - 1]


def fixed_noise(monkeypatch, **shapes):
    """Draws of Gaussians are the same each time; each shape has its own noise."""
    generator = torch.Generator().manual_seed(1)
    noise = {shape: torch.randn(shape, generator=generator).double() for shape in shapes.values()}
    sample = gaussian.sample
    monkeypatch.setattr(gaussian, "sample", lambda mean, log_var: sample(mean, log_var, noise[tuple(mean.shape)]))
    return noise


# The posterior sees the target --------------------------------------------------------------------------------------


def parts_of_target_model(model, batch):
    """State of the encoder, mean, variance and weights of the prior, at every target."""
    items = model.item_embedding(batch.items)
    state = model.sequence.state(items, batch.packing)
    mean, intensity = model.interest_encoder.mean_and_intensity(items, batch.packing)
    return state, model.sequence.prior(state, mean, intensity)


@pytest.mark.parametrize("free_nats", [0.0, 9.0])
def test_the_bound_is_the_cross_entropy_at_a_draw_and_the_kl_from_the_mixture(free_nats, monkeypatch):
    model = random_sigma(posterior="target", free_nats=free_nats, kl_weight=0.5).eval()
    batch = packed(*SEQUENCES)
    count = len(batch.target)
    noise = fixed_noise(monkeypatch, of_z=(count, 8), of_interests=(count, 3, 8))[count, 8]
    state, prior = parts_of_target_model(model, batch)
    cross_entropy = kl = 0.0
    catalog = model.item_embedding.weight[1:]
    for n, target in enumerate(batch.target.tolist()):
        mean, log_var = model.sequence.posterior(state[n], model.item_embedding.weight[target])
        posterior = normal(mean, log_var)
        z = mean + (log_var / 2).exp() * noise[n]
        mixture = MixtureSameFamily(Categorical(probs=prior.intensity[n]), normal(prior.mean[n], prior.log_var[n]))
        cross_entropy += negative_log_softmax(model.sequence.decode(z), catalog, target)
        of_target = posterior.log_prob(z) - mixture.log_prob(z)
        kl += max(of_target, torch.tensor(free_nats).double()) if free_nats else of_target
    terms = model.loss_terms(batch)
    torch.testing.assert_close(terms.sums["sequence/ce"], cross_entropy)
    torch.testing.assert_close(terms.sums["sequence/kl"], kl)


@torch.no_grad()
def test_cross_entropy_and_kl_bound_the_log_probability_of_the_next_item_under_the_prior():
    """log p(v) >= E_q[log p(v | z)] - KL(q, p): both sides estimated from many draws."""
    torch.manual_seed(0)
    model = random_sigma(posterior="target").eval()
    batch = packed([3, 7, 12, 1])
    terms = [model.loss_terms(batch).sums for _ in range(400)]
    bound = torch.stack([-(one["sequence/ce"] + one["sequence/kl"]) for one in terms])
    state, prior = parts_of_target_model(model, batch)
    evidence = 0.0
    for n, target in enumerate(batch.target.tolist()):
        mixture = MixtureSameFamily(Categorical(probs=prior.intensity[n]), normal(prior.mean[n], prior.log_var[n]))
        users = model.sequence.decode(mixture.sample((20_000,)))
        evidence += (users @ model.item_embedding.weight[1:].T).softmax(-1)[:, target - 1].mean().log()
    error = bound.std() / len(bound) ** 0.5
    assert bound.mean() < evidence + 3 * error
    assert bound.mean() > evidence - 1000  # a bound, not minus infinity


def test_the_posterior_depends_on_the_next_item_and_the_ranking_does_not():
    model = random_sigma(posterior="target").eval()
    batch, other = packed([3, 7, 12]), packed([3, 7, 13])
    means = [model.sequence.posterior(torch.zeros(8).double(), model.item_embedding.weight[v])[0] for v in (12, 13)]
    assert not torch.allclose(*means)
    assert torch.equal(model.encode_users(batch.items, batch.packing), model.encode_users(other.items, other.packing))


# Components that are models -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_loss_of_components_is_the_weighted_sum_of_their_bounds(share, monkeypatch):
    model = random_sigma(components="own", component_share=share).eval()
    batch = packed(*SEQUENCES)
    count = len(batch.target)
    noise = fixed_noise(monkeypatch, of_z=(count, 8), of_interests=(count, 3, 8))[count, 8]
    interests = model.interest_encoder(model.item_embedding(batch.items), batch.packing)
    cross_entropy = kl = 0.0
    for k, component in enumerate(model.sequence):
        mean, log_var = component.posterior(batch.items, batch.packing)
        users = component.vae.decode(mean + (log_var / 2).exp() * noise, None, batch.packing)
        for n, target in enumerate(batch.target.tolist()):
            weight = (1 - share) / 3 + share * interests.intensity[n, k].detach()
            catalog = component.item_embedding.weight[1:]
            cross_entropy += weight * negative_log_softmax(users[n], catalog, target)
            of_prior = normal(interests.mean[n, k], interests.log_var[n, k])
            kl += weight * kl_divergence(normal(mean[n], log_var[n]), of_prior)
    terms = model.loss_terms(batch)
    torch.testing.assert_close(terms.sums["sequence/ce"], cross_entropy)
    torch.testing.assert_close(terms.sums["sequence/kl"], kl)


@torch.no_grad()
def test_the_weighted_cross_entropies_bound_that_of_the_mixture(monkeypatch):
    monkeypatch.setattr(gaussian, "sample", lambda mean, log_var: mean)
    model = random_sigma(components="own", component_share=0.7).eval()
    sequence = [3, 7, 7, 12, 1, 20]
    loss = model.loss_terms(packed(sequence)).sums["sequence/ce"]
    of_mixture = 0.0
    for end in range(1, len(sequence)):
        batch = packed(sequence[: end + 1])
        users = model.encode_users(batch.items, batch.packing)[0]
        weights = model.mixture_weights(batch.items, batch.packing)[0]
        probability = sum(
            w * (model.item_vectors[1:] @ u).softmax(0)[sequence[end] - 1] for w, u in zip(weights, users)
        )
        of_mixture -= probability.log()
    assert of_mixture < loss


def test_components_share_no_parameter_and_rank_with_item_vectors_of_their_own():
    model = random_sigma(components="own")
    batch = packed([3, 7, 12, 1])
    users = model.encode_users(batch.items, batch.packing)[0]
    for k, component in enumerate(model.sequence):
        expected = component.item_embedding.weight @ component.users(batch.items, batch.packing)[-1]
        torch.testing.assert_close(model.item_vectors @ users[k], expected)
    names = [{id(parameter) for parameter in component.parameters()} for component in model.sequence]
    assert not set.intersection(*names)
    assert model.item_vectors.shape == (NUM_ITEMS, 3 * 8)


# Settings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key, value", [("posterior", "target"), ("components", "own")])
@pytest.mark.parametrize(
    "other",
    [{"prior": "standard"}, {"scorer": "interests"}, {"decoder_context": "interests"}, {"detach_prior": True}],
    ids=str,
)
def test_interests_that_rank_need_the_mixture_of_the_paper(key, value, other):
    ((name, setting),) = other.items()
    with pytest.raises(ConfigError, match=rf"{key} is {value}, which does not go with {name}: {setting}; expected "):
        build_sigma(**{key: value}, **other)


def test_the_two_kinds_of_interests_that_rank_are_not_combined():
    with pytest.raises(ConfigError, match="posterior is target, which does not go with components: own"):
        build_sigma(posterior="target", components="own")


def test_checkpoints_with_the_sequence_model_in_the_model_itself_load():
    model = random_sigma(decoder_context="interests")
    earlier = {name.removeprefix("sequence."): value for name, value in model.state_dict().items()}
    assert "mean_encoder.0.attention.output.weight" in earlier
    loaded = build_sigma(decoder_context="interests").double()
    loaded.load_state_dict(earlier)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
