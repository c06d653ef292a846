"""What must be true of SIGMA, point by point, on a model of a few hundred parameters without dropout."""

import itertools
import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence
from torch.nn import functional as F

from recbole_sigma.errors import ConfigError
from recbole_sigma.layers import gaussian, interests
from recbole_sigma.layers.interests import Interests
from recbole_sigma.layers.packing import pack
from recbole_sigma.model.sigma import SIGMA
from tests.model.helpers import (
    MAX_LENGTH,
    NUM_ITEMS,
    all_positions,
    build_sigma,
    last_position,
    packed,
    pad,
    random_sigma,
    to_places,
)

POSITIONS = ["relative", "rotary", "absolute"]
SCORERS = ["sequence", "interests"]
SEQUENCES = [[3, 7, 7, 12, 1, 20], [5, 9], [20, 4, 11, 3, 8, 2, 6], [9, 9, 14, 5]]
SUMS = ("sequence/ce", "sequence/kl", "interests/ce", "interests/kl")

# Models that compute something different from each other.
VARIANTS = {
    "relative": {},
    "rotary": {"position": "rotary"},
    "absolute_two_layers": {"position": "absolute", "n_layers": 2},
    "mean_masked": {"soft_interest": "mean", "mixture_mask": True},
    "sampled_normalised": {"loss": "sampled", "mie_loss": "sampled", "normalize_items": True},
    "no_head": {"log_var_bias": 0.0},
    "standard": {"prior": "standard"},
    "interests": {"scorer": "interests"},
    "interests_mean_sampled": {"scorer": "interests", "soft_interest": "mean", "mie_loss": "sampled"},
    "one_category": {"num_categories": 1},
    "context": {"decoder_context": "interests"},
    "no_average": {"history_average": 0},
    "soft": {"interest": "soft"},
    "hard": {"interest": "hard"},
}
every_variant = pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)


@pytest.fixture
def noise(monkeypatch):
    """All noise of training depends on the position in the sequence and the feature alone, never on the batch."""
    generator = torch.Generator().manual_seed(1)
    of_sequence = torch.randn(MAX_LENGTH, 8, generator=generator, dtype=torch.double)
    of_interests = torch.randn(MAX_LENGTH, 3, 8, generator=generator, dtype=torch.double)
    of_categories = torch.randn(MAX_LENGTH, 3, generator=generator, dtype=torch.double)
    position_of_target = position_of_item = torch.arange(MAX_LENGTH)  # for a single sequence outside the loss
    original_terms, original_sample = SIGMA.loss_terms, gaussian.sample

    def loss_terms(self, batch):
        nonlocal position_of_target, position_of_item
        position_of_item = batch.packing.position
        position_of_target = batch.select(position_of_item)
        return original_terms(self, batch)

    def sample(mean, log_var):
        if mean.dim() == 3:  # [N, K, D]
            noise = of_interests[position_of_target, : mean.shape[1]]
        else:  # [M, D]
            noise = of_sequence[position_of_item[: len(mean)]]
        return original_sample(mean, log_var, noise.to(mean.dtype))

    def gumbel_noise(logits):  # [M, K]
        return of_categories[position_of_item[: len(logits)], : logits.shape[1]].to(logits.dtype)

    monkeypatch.setattr(SIGMA, "loss_terms", loss_terms)
    monkeypatch.setattr(gaussian, "sample", sample)
    monkeypatch.setattr(interests, "gumbel_noise", gumbel_noise)


def loss_terms(model, batch):
    """Loss terms and the number of targets; the shared negatives of a sampled loss are the same each time."""
    torch.manual_seed(2)
    terms = terms_of(model, batch)
    return {**terms.sums, **terms.values, "num_targets": torch.tensor(terms.num_targets)}


def terms_of(model, batch):
    return model.loss_terms(model.training_batch(batch))


def gradients(model, value):
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    values = torch.autograd.grad(value, parameters.values(), allow_unused=True)
    return {name: torch.zeros_like(parameters[name]) if g is None else g for name, g in zip(parameters, values)}


def data_loss(model, batch, num_targets):
    torch.manual_seed(2)
    return model.calculate_loss(batch, num_targets=num_targets)


# 1. Causality --------------------------------------------------------------------------------------------------------


def without_padding(model, item_seq):
    """What the encoders read: item vectors and their packing."""
    item, packing = pack(item_seq)
    return model.item_embedding(item), packing


def interests_of(model, items, packing):
    """Mean and intensity of the interests, if the decoder reads them."""
    return None if model.sequence.context is None else model.interest_encoder.mean_and_intensity(items, packing)


def outputs(model, item_seq):
    """Everything that the model computes for each position."""
    parts, mask = {}, item_seq != 0
    items, packing = without_padding(model, item_seq)
    if model.scorer == "sequence":
        mean, log_var = model.sequence.posterior(items, packing)
        z = gaussian.sample(mean, log_var) if model.training else mean
        decoded = model.sequence.decode(z, interests_of(model, items, packing), packing)
        parts = {"mean": mean, "log_var": log_var, "decoded": decoded}
    if model.num_interests:
        parts.update(
            {f"interest_{name}": part for name, part in model.interest_encoder(items, packing)._asdict().items()}
        )
    return {name: to_places(part, mask) for name, part in parts.items()}


CUTS = (1, 3, 6)
causal = pytest.mark.parametrize("settings", [*({"position": p} for p in POSITIONS), {"scorer": "interests"}], ids=str)


@causal
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@torch.no_grad()
def test_causality_items_after_a_position_change_nothing_up_to_it(settings, training, noise):
    model = random_sigma(**settings).train(training)
    item_seq = torch.tensor([[3, 7, 7, 12, 1, 20, 5, 2]])
    before = outputs(model, item_seq)
    changes = [(cut, later) for cut in CUTS for later in ([19] * (8 - cut), [*range(10, 18 - cut)], [0] * (8 - cut))]
    for cut, later in changes:
        after = outputs(model, torch.tensor([item_seq[0, :cut].tolist() + later]))
        for name in before:
            torch.testing.assert_close(after[name][:, :cut], before[name][:, :cut], msg=name)
            if later[0]:
                assert not torch.isclose(after[name][:, cut], before[name][:, cut]).all(), f"{name} ignores its item"


@causal
@torch.no_grad()
def test_causality_loss_terms_of_earlier_positions_do_not_depend_on_later_items(settings, noise):
    model = random_sigma(**settings).train()
    sequence = [3, 7, 7, 12, 1, 20, 5, 2, 6]
    for cut in CUTS:
        first = all_positions(sequence)
        second = all_positions(sequence[:cut] + [19] * (9 - cut))  # other inputs from position `cut` on
        second["item_id"] = first["item_id"]
        whole = loss_terms(model, first), loss_terms(model, second)
        for batch in (first, second):
            batch["item_id"] = first["item_id"].where(torch.arange(8) < cut, 0)
        before, after = loss_terms(model, first), loss_terms(model, second)
        for name in before.keys() & set(SUMS):
            torch.testing.assert_close(after[name], before[name], msg=name)
            assert whole[0][name] != whole[1][name]  # the terms of later positions do depend on them


# 2. Padding ----------------------------------------------------------------------------------------------------------


@every_variant
@torch.no_grad()
def test_padding_invariance_scores_are_the_same_at_any_length_and_in_any_batch(settings):
    model = random_sigma(**settings).eval()
    together = model.full_sort_predict(last_position(*SEQUENCES, width=MAX_LENGTH))
    assert together.shape == (len(SEQUENCES), NUM_ITEMS)
    for sequence, scores in zip(SEQUENCES, together):
        for width in range(len(sequence) - 1, MAX_LENGTH + 1):
            alone = model.full_sort_predict(last_position(sequence, width=width))[0]
            torch.testing.assert_close(alone, scores)


@every_variant
def test_padding_invariance_gradients_are_the_same_at_any_length_and_in_any_batch(settings, noise):
    model = random_sigma(**settings, orth_weight=0.0, kl_weight=0.5, mie_weight=0.7).train()
    expected = gradients(model, data_loss(model, all_positions(*SEQUENCES), num_targets=10))
    for width in (len(SEQUENCES[2]), MAX_LENGTH):
        padded = gradients(model, data_loss(model, all_positions(*SEQUENCES, width=width), num_targets=10))
        alone = [
            gradients(model, data_loss(model, all_positions(sequence, width=width), num_targets=10))
            for sequence in SEQUENCES
        ]
        for name, gradient in expected.items():
            torch.testing.assert_close(padded[name], gradient, msg=name)
            torch.testing.assert_close(sum(one[name] for one in alone), gradient, msg=name)


@every_variant
def test_padding_has_no_gradient_and_its_vector_does_not_matter(settings, noise):
    model = random_sigma(**settings).train()
    batch = all_positions(*SEQUENCES)
    before = loss_terms(model, batch)
    assert not gradients(model, model.calculate_loss(batch))["item_embedding.weight"][0].any()
    with torch.no_grad():
        model.item_embedding.weight[0] = torch.randn(8)
    for name, term in loss_terms(model, batch).items():
        torch.testing.assert_close(term, before[name], msg=name)


# 3. The loss as written ----------------------------------------------------------------------------------------------


def naive_loss_terms(model, batch, noise_of_sequence, noise_of_interests):
    """Section 3.4 for a full softmax, one position at a time, from the outputs of the two encoders."""
    catalog = [model.item_embedding.weight[v] for v in range(1, NUM_ITEMS)]
    if model.normalize_items:
        catalog = [v / v.norm() for v in catalog]

    def cross_entropy(users, target, temperature):
        scores = torch.stack([max(u @ v for u in users) / temperature for v in catalog])
        return -scores.log_softmax(0)[target - 1]

    def normal(mean, log_var):
        return Independent(Normal(mean, (log_var / 2).exp()), 1)

    item_seq, target = batch["item_id_list"], batch["item_id"]
    mask = item_seq != 0
    items, packing = without_padding(model, item_seq)
    mean, log_var = (to_places(part, mask) for part in model.sequence.posterior(items, packing))
    z = mean + (log_var / 2).exp() * to_places(noise_of_sequence, mask)
    decoded = to_places(model.sequence.decode(z[mask], interests_of(model, items, packing), packing), mask)
    interests = Interests(*(to_places(part, mask) for part in model.interest_encoder(items, packing)))
    sums = dict.fromkeys(SUMS, 0.0)
    for n, (b, t) in enumerate(target.nonzero().tolist()):
        posterior = normal(mean[b, t], log_var[b, t])
        components = normal(interests.mean[b, t], interests.log_var[b, t])
        prior = MixtureSameFamily(Categorical(probs=interests.intensity[b, t]), components)
        x = interests.mean[b, t] + (interests.log_var[b, t] / 2).exp() * noise_of_interests[n]
        standard = Independent(Normal(torch.zeros_like(x), torch.ones_like(x)), 1)
        sums["sequence/ce"] += cross_entropy([decoded[b, t]], target[b, t], model.temperature)
        sums["sequence/kl"] += posterior.log_prob(z[b, t]) - prior.log_prob(z[b, t])
        sums["interests/ce"] += cross_entropy(model.interest_decoder(x), target[b, t], model.interest_temperature)
        sums["interests/kl"] += kl_divergence(components, standard).sum()
    return sums


@pytest.mark.parametrize("normalize_items", [False, True])
def test_loss_follows_section_3_4_and_its_weights(normalize_items, monkeypatch):
    weights = {"kl_weight": 0.3, "mie_weight": 0.7, "mie_kl_weight": 0.2, "orth_weight": 1.7, "orth_loss": "linear"}
    model = random_sigma(**weights, temperature=0.5, interest_temperature=2.0, normalize_items=normalize_items).eval()
    batch = all_positions(*SEQUENCES)
    num_targets = sum(len(sequence) - 1 for sequence in SEQUENCES)
    of_sequence = torch.randn(int(batch["item_length"].sum()), 8).double()
    of_interests = torch.randn(num_targets, 3, 8).double()
    of_shape = {noise.shape: noise for noise in (of_sequence, of_interests)}
    sample = gaussian.sample
    monkeypatch.setattr(gaussian, "sample", lambda mean, log_var: sample(mean, log_var, of_shape[mean.shape]))
    expected = naive_loss_terms(model, batch, of_sequence, of_interests)
    terms = terms_of(model, batch)
    for name in SUMS:
        torch.testing.assert_close(terms.sums[name], expected[name], msg=name)
    assert terms.num_targets == num_targets

    unit = F.normalize(model.interest_encoder.categories, dim=-1)
    orthogonality = sum(unit[i] @ unit[j] for i in range(3) for j in range(3) if i != j)
    of_sequence_vae = (expected["sequence/ce"] + 0.3 * expected["sequence/kl"]) / num_targets
    of_interest_vae = (expected["interests/ce"] + 0.2 * expected["interests/kl"]) / num_targets
    expected_loss = of_sequence_vae + 0.7 * of_interest_vae + 1.7 * orthogonality
    loss = model.calculate_loss(batch)
    torch.testing.assert_close(loss, expected_loss)
    expected_gradients = gradients(model, expected_loss)
    for name, gradient in gradients(model, loss).items():
        torch.testing.assert_close(gradient, expected_gradients[name], msg=name)


def test_standard_prior_is_the_closed_form_and_has_no_interests():
    model = random_sigma(prior="standard").eval()
    batch = all_positions(*SEQUENCES)
    mean, log_var = model.sequence.posterior(*without_padding(model, batch["item_id_list"]))
    expected = kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(0.0, 1.0)).sum()
    terms = terms_of(model, batch)
    torch.testing.assert_close(terms.sums["sequence/kl"], expected)
    assert terms.sums.keys() == {"sequence/ce", "sequence/kl"} and not terms.values
    assert not [name for name, _ in model.named_parameters() if "interest" in name]


def test_interest_scorer_trains_the_interests_at_full_weight_and_has_no_sequence_vae(noise):
    batch = all_positions(*SEQUENCES)
    model = random_sigma(scorer="interests", mie_weight=0.001, mie_kl_weight=0.2, orth_weight=0.0)
    terms = loss_terms(model, batch)
    expected = (terms["interests/ce"] + 0.2 * terms["interests/kl"]) / terms["num_targets"]
    torch.testing.assert_close(model.calculate_loss(batch), expected)
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {
        "item_embedding", "interest_encoder", "interest_decoder",
    }  # fmt: skip


def test_one_category_makes_the_prior_a_single_gaussian():
    model = random_sigma(num_categories=1).eval()
    intensity = model.interest_encoder(*without_padding(model, pad(SEQUENCES))).intensity
    assert torch.equal(intensity, torch.ones_like(intensity))
    assert terms_of(model, all_positions(*SEQUENCES)).values["orthogonality"] == 0


@pytest.mark.parametrize("detached", [False, True])
def test_detach_prior_keeps_the_gradient_of_the_kl_out_of_the_interests(detached):
    model = random_sigma(detach_prior=detached)
    of = gradients(model, terms_of(model, all_positions(*SEQUENCES)).sums["sequence/kl"])
    reached = {name for name, gradient in of.items() if gradient.any()}
    assert {"interest_encoder.categories", "interest_encoder.gru.weight_hh_l0"} <= reached or detached
    assert not (detached and any(name.startswith("interest_encoder") for name in reached))
    assert "sequence.mean_encoder.0.attention.output.weight" in reached and "sequence.log_var_head.weight" in reached


@pytest.mark.parametrize("scorer", SCORERS)
@torch.no_grad()
def test_normalised_items_score_by_direction_only(scorer):
    model = random_sigma(scorer=scorer, normalize_items=True).eval()
    batch = last_position(*SEQUENCES)
    norms = model.item_vectors[1:].norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones_like(norms))
    before = model.full_sort_predict(batch)
    unseen = 18  # in no sequence
    model.item_embedding.weight[unseen] *= 5
    torch.testing.assert_close(model.full_sort_predict(batch), before)


@torch.no_grad()
def test_log_var_starts_near_its_bias():
    for bias in (-2.0, -4.0, 1.0):
        torch.manual_seed(0)
        model = build_sigma(log_var_bias=bias).eval()
        _, log_var = model.sequence.posterior(*without_padding(model, pad(SEQUENCES)))
        assert (log_var - bias).abs().max() < 0.5
    assert isinstance(build_sigma(log_var_bias=0.0).sequence.log_var_head, torch.nn.Identity)


@pytest.mark.parametrize("kind, term", [("loss", "sequence/ce"), ("mie_loss", "interests/ce")])
@pytest.mark.parametrize("num_negatives", [NUM_ITEMS - 1, 1000])
def test_as_many_negatives_as_there_are_items_make_a_sampled_loss_the_full_loss(kind, term, num_negatives, noise):
    batch = all_positions(*SEQUENCES)
    full = terms_of(random_sigma(), batch).sums[term]
    sampled = terms_of(random_sigma(**{kind: "sampled", "num_negatives": num_negatives}), batch).sums[term]
    assert torch.equal(sampled, full)
    of_some = terms_of(random_sigma(**{kind: "sampled", "num_negatives": NUM_ITEMS - 2}), batch).sums[term]
    assert not torch.isclose(of_some, full, rtol=1e-6)


@pytest.mark.parametrize("context", ["none", "interests"])
def test_the_loss_of_the_interests_of_some_users_is_on_average_that_of_all(context, monkeypatch):
    monkeypatch.setattr(gaussian, "sample", lambda mean, log_var: mean)
    settings = {"decoder_context": context, "kl_weight": 0.5, "mie_weight": 0.7, "mie_kl_weight": 0.2}
    model = random_sigma(**settings, mie_share=0.5).eval()  # eval: no noise assigns items to categories
    whole = random_sigma(**settings, mie_share=1.0).eval()
    batch = packed(*SEQUENCES)
    expected = whole.loss_terms(batch)
    expected_gradients = gradients(whole, whole.calculate_loss(batch))
    pairs = list(itertools.permutations(range(len(SEQUENCES)), 2))
    terms, of_pairs = [], []
    for pair in pairs:
        rest = [sequence for sequence in range(len(SEQUENCES)) if sequence not in pair]
        monkeypatch.setattr(torch, "randperm", lambda size: torch.tensor([*pair, *rest]))
        terms.append(model.loss_terms(batch).sums)
        of_pairs.append(gradients(model, model.calculate_loss(batch)))
    for name in SUMS:
        torch.testing.assert_close(sum(term[name] for term in terms) / len(pairs), expected.sums[name], msg=name)
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(sum(one[name] for one in of_pairs) / len(pairs), gradient, msg=name)


def test_the_scorer_interests_trains_on_every_user(noise):
    batch = packed(*SEQUENCES)
    terms = [random_sigma(scorer="interests", mie_share=share).loss_terms(batch).sums for share in (0.25, 1.0)]
    assert torch.equal(terms[0]["interests/ce"], terms[1]["interests/ce"])


# 4. Numbers ----------------------------------------------------------------------------------------------------------


@every_variant
def test_large_weights_and_sharp_categories_give_a_finite_loss_and_finite_gradients(settings):
    torch.manual_seed(0)
    model = build_sigma(**settings, initializer_range=1.0, category_temperature=0.01).train()
    loss = model.calculate_loss(all_positions(*SEQUENCES))
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(model, loss).values())


@every_variant
def test_bfloat16_autocast_changes_the_loss_by_rounding_only(settings, noise):
    model = random_sigma(**settings).float()
    batch = all_positions(*SEQUENCES)
    exact = data_loss(model, batch, num_targets=10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = data_loss(model, batch, num_targets=10)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.05, atol=0.05)
    assert all(gradient.isfinite().all() for gradient in gradients(model, loss).values())


# 5. All positions at once --------------------------------------------------------------------------------------------


@every_variant
def test_all_position_loss_is_the_mean_of_the_losses_of_the_prefixes(settings, noise):
    model = random_sigma(**settings, kl_weight=0.5, mie_weight=0.7).train()
    sequence = SEQUENCES[2]
    prefixes = [sequence[: end + 1] for end in range(1, len(sequence))]
    at_once = all_positions(sequence)
    one_by_one = last_position(*prefixes, width=MAX_LENGTH)

    terms, of_rows = loss_terms(model, at_once), loss_terms(model, one_by_one)
    each = [loss_terms(model, last_position(prefix, width=MAX_LENGTH)) for prefix in prefixes]
    for name in terms.keys() - {"orthogonality"}:
        torch.testing.assert_close(of_rows[name], terms[name], msg=name)
        torch.testing.assert_close(sum(one[name] for one in each), terms[name], msg=name)

    loss = data_loss(model, at_once, num_targets=None)
    losses = [data_loss(model, last_position(prefix, width=MAX_LENGTH), num_targets=None) for prefix in prefixes]
    torch.testing.assert_close(loss, torch.stack(losses).mean())
    rows = gradients(model, data_loss(model, one_by_one, num_targets=None))
    for name, gradient in gradients(model, loss).items():
        torch.testing.assert_close(rows[name], gradient, msg=name)


def test_constraint_on_the_categories_is_not_divided_by_the_targets(noise):
    batch = all_positions(*SEQUENCES)
    with_it, without = random_sigma(orth_weight=2.0), random_sigma(orth_weight=0.0)
    for num_targets in (None, 100):
        difference = with_it.calculate_loss(batch, num_targets) - without.calculate_loss(batch, num_targets)
        torch.testing.assert_close(difference, 2 * terms_of(with_it, batch).values["orthogonality"])


# 6. Scores -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_scores_are_the_logits_of_13_and_9():
    batch = last_position(*SEQUENCES)
    rows, last = torch.arange(len(SEQUENCES)), batch["item_length"] - 1
    model = random_sigma(temperature=0.5).eval()
    mask = batch["item_id_list"] != 0
    items, packing = without_padding(model, batch["item_id_list"])
    mean, _ = model.sequence.posterior(items, packing)
    users = to_places(model.sequence.decoder(mean, packing), mask)[rows, last]
    torch.testing.assert_close(model.full_sort_predict(batch), users @ model.item_embedding.weight.T / 0.5)

    model = random_sigma(scorer="interests", interest_temperature=2.0).eval()
    mean = to_places(model.interest_encoder(*without_padding(model, batch["item_id_list"])).mean, mask)
    users = model.interest_decoder(mean[rows, last])  # [B, K, D]
    expected = (users @ model.item_embedding.weight.T).amax(1) / 2.0
    torch.testing.assert_close(model.full_sort_predict(batch), expected)


# Interests, as explanations read them --------------------------------------------------------------------------------


@pytest.mark.parametrize("mixture_mask", [False, True])
@pytest.mark.parametrize("soft_interest", ["sum", "mean"])
@torch.no_grad()
def test_weights_say_which_category_an_item_was_assigned_to_and_their_mean_is_the_intensity(
    mixture_mask, soft_interest
):
    model = random_sigma(mixture_mask=mixture_mask, soft_interest=soft_interest, num_categories=5).eval()
    categories, vectors = model.interest_encoder.categories, model.item_embedding.weight
    empty = 0
    for sequence in SEQUENCES:
        items, packing = pack(torch.tensor([sequence]))
        cosines = [[F.cosine_similarity(vectors[item], category, 0) for category in categories] for item in sequence]
        assigned = torch.tensor(cosines).argmax(1)  # in evaluation, to the most probable one
        weights = model.weights(items, packing)
        assert torch.equal(weights.argmax(1), assigned)
        _, intensity = model.interest_encoder.mean_and_intensity(vectors[items], packing)
        torch.testing.assert_close(weights.sum(0) / weights.sum(), intensity[-1])
        if mixture_mask:
            absent = [category for category in range(5) if category not in assigned]
            assert not weights[:, absent].any()
            empty += len(absent)
        else:
            torch.testing.assert_close(weights.sum(1), torch.ones(len(sequence), dtype=torch.double))
    assert empty or not mixture_mask


@torch.no_grad()
def test_interests_are_what_the_scorer_interests_ranks_by_and_spread_is_their_standard_deviation():
    batch = last_position(*SEQUENCES)
    items, packing = pack(batch["item_id_list"])
    ranking = random_sigma(scorer="interests", interest_temperature=2.0).eval()
    describing = random_sigma(interest_temperature=2.0).eval()  # the scorer sequence, with the same interests
    describing.load_state_dict({**describing.state_dict(), **ranking.state_dict()})
    for model in (ranking, describing):
        users = model.interests(items, packing)[packing.last]
        scores = (users @ model.item_vectors.T).amax(1) / 2.0
        torch.testing.assert_close(scores, ranking.full_sort_predict(batch))
        variance = model.interest_encoder(model.item_embedding(items), packing).log_var[packing.last].exp()
        torch.testing.assert_close(model.spread(items, packing), (variance.sum(-1) / 8).sqrt())


# 7. Gradients --------------------------------------------------------------------------------------------------------


def every_pair(**choices):
    """Some of their combinations, in which every two values of two switches occur together."""
    pairs_of = {row: set(itertools.combinations(zip(choices, row), 2)) for row in itertools.product(*choices.values())}
    missing = set().union(*pairs_of.values())
    while missing:
        best = max(pairs_of, key=lambda row: len(missing & pairs_of[row]))
        missing -= pairs_of.pop(best)
        yield dict(zip(choices, best))


OF_SEQUENCE = {"loss": ["full", "sampled"], "log_var_bias": [-2.0, 0.0], "normalize_items": [False, True]}
OF_INTERESTS = {
    "mie_loss": ["full", "sampled"],
    "soft_interest": ["sum", "mean"],
    "orth_loss": ["squared", "linear"],
    "mixture_mask": [False, True],
    "interest": ["both", "soft", "hard"],
}
RANKING = {"normalize_items": [False, True], **OF_INTERESTS}
SWITCHES = {
    "mixture": {
        "position": POSITIONS,
        "decoder_context": ["none", "interests"],
        "detach_prior": [False, True],
        **OF_SEQUENCE,
        **OF_INTERESTS,
    },
    "standard": {"prior": ["standard"], "position": POSITIONS, **OF_SEQUENCE},
    "interests": {"scorer": ["interests"], **RANKING},
    "target": {"posterior": ["target"], **RANKING},
    "components": {"components": ["own"], "component_share": [0.0, 0.5], **RANKING},
}
COMBINED = [
    *(
        {**SWITCHES["mixture"], "position": [position], "decoder_context": [context], "interest": ["both"]}
        for position, context in [("relative", "none"), ("rotary", "interests"), ("absolute", "none")]
    ),
    SWITCHES["standard"],
    SWITCHES["interests"],
]


def require_gradients(settings):
    torch.manual_seed(0)
    model = build_sigma(**settings).train()
    model.calculate_loss(all_positions(*SEQUENCES)).backward()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert name.startswith("interest_encoder.gru") and settings["interest"] == "soft"
            continue
        assert parameter.grad is not None, f"{name} gets no gradient with {settings}"
        assert parameter.grad.isfinite().all(), f"gradient of {name} is not finite with {settings}"
        assert parameter.grad.any(), f"gradient of {name} is zero with {settings}"


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_every_parameter_gets_a_gradient_for_every_pair_of_switches(switches):
    for settings in every_pair(**switches):
        require_gradients(settings)


@pytest.mark.slow
@pytest.mark.parametrize("switches", COMBINED)
def test_every_parameter_gets_a_gradient_for_every_combination_of_switches(switches):
    for row in itertools.product(*switches.values()):
        require_gradients(dict(zip(switches, row)))


# Warm-up and settings ------------------------------------------------------------------------------------------------


def test_weight_of_the_kl_grows_linearly_over_the_warm_up_steps_of_training(noise):
    model = random_sigma(kl_weight=0.8, kl_anneal_steps=4, mie_weight=0.0, orth_weight=0.0).train()
    batch = all_positions(*SEQUENCES)

    def weight():
        terms = loss_terms(model, batch)
        difference = model.calculate_loss(batch) * terms["num_targets"] - terms["sequence/ce"]
        return (difference / terms["sequence/kl"]).item()

    assert [weight() for _ in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    model.eval()
    assert weight() == pytest.approx(0.8)
    resumed = random_sigma(kl_weight=0.8, kl_anneal_steps=4).train()
    resumed.load_state_dict(model.state_dict())
    assert resumed.step == 6


REFUSED = [
    (
        ["hidden_size", "inner_size", "n_layers", "n_heads", "num_categories", "num_negatives"],
        [0, -1, 1.5, "2", True, None],
    ),
    (["item_dropout_prob", "hidden_dropout_prob", "attn_dropout_prob"], [1.0, -0.1, "0.5", None, math.nan]),
    (
        ["initializer_range", "temperature", "category_temperature", "interest_temperature"],
        [0, -1.0, math.inf, None],
    ),
    (["posterior"], ["future", None]),
    (["components"], ["several", True, None]),
    (["free_nats"], [-1, math.nan, "1", None]),
    (["component_share"], [-0.1, 1.1, "1", True, None]),
    (["mie_share"], [0, -0.5, 1.01, "0.5", True, None, math.nan]),
    (["kl_weight", "mie_weight", "mie_kl_weight", "orth_weight"], [-0.1, math.nan, math.inf, "1e-4", None]),
    (["kl_anneal_steps"], [-1, 0.5, None]),
    (["log_var_bias"], [math.nan, math.inf, "-2", None, False]),
    (["position", "prior", "scorer", "orth_loss", "interest", "soft_interest"], ["other", 1, None]),
    (["decoder_context", "loss", "mie_loss"], ["other", 1, None]),
    (["history_average"], [-1, 1.5, "2", True, None]),
    (["mixture_mask", "detach_prior", "normalize_items"], ["yes", 1, None]),
]


def test_invalid_values_raise_an_error_that_names_the_setting_and_what_is_expected():
    assert {key for keys, _ in REFUSED for key in keys} == set(SIGMA.rules)
    for keys, values in REFUSED:
        for key, value in itertools.product(keys, values):
            with pytest.raises(ConfigError) as error:
                build_sigma(**{key: value})
            assert str(error.value) == f"{key} is {value!r}; expected {SIGMA.rules[key].expected}"


def test_the_standard_prior_has_no_interests_to_score_with():
    with pytest.raises(ConfigError, match="prior is standard.*expected scorer: sequence"):
        build_sigma(prior="standard", scorer="interests")


# Learning ------------------------------------------------------------------------------------------------------------


def walks(successor, count, length, generator):
    """Sequences in which every item is followed by its successor; their first items are drawn uniformly."""
    item = torch.randint(1, len(successor), (count,), generator=generator)
    steps = [item]
    for _ in range(length - 1):
        item = successor[item]
        steps.append(item)
    return torch.stack(steps, dim=1).tolist()


def test_interests_learn_an_order_that_popularity_does_not_know():
    """The interests do not know which of them was served last, so the next item is looked for among K = 4."""
    num_items, top, generator = 41, 4, torch.Generator().manual_seed(0)
    successor = torch.cat([torch.zeros(1).long(), torch.randperm(num_items - 1, generator=generator) + 1])
    torch.manual_seed(0)
    size = {"hidden_size": 32, "inner_size": 64, "num_categories": top}
    model = build_sigma(num_items, scorer="interests", hidden_dropout_prob=0.1, **size)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    for _ in range(150):
        optimizer.zero_grad()
        model.calculate_loss(packed(*walks(successor, 32, 8, generator))).backward()
        optimizer.step()

    test = walks(successor, 500, 8, generator)
    target = torch.tensor([walk[-1] for walk in test]).unsqueeze(1)
    popular = torch.bincount(target.flatten(), minlength=num_items).topk(top).indices  # even knowing the answers
    assert (popular == target).any(1).float().mean() < 0.25
    with torch.no_grad():
        scores = model.eval().full_sort_predict(last_position(*test))[:, 1:]
    best = scores.topk(top).indices + 1
    assert (best == target).any(1).float().mean() > 0.9
