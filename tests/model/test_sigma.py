"""What must be true of SIGMA, point by point, on a model of a few hundred parameters without dropout."""

import hashlib
import itertools
import math
import os
import subprocess
import sys

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence
from torch.nn import functional as F

from recbole_sigma.errors import ConfigError
from recbole_sigma.layers import gaussian
from recbole_sigma.layers.interests import Interests
from recbole_sigma.layers.packing import pack
from recbole_sigma.model.sigma import SIGMA
from tests.model.helpers import (
    MAX_LENGTH,
    NUM_ITEMS,
    all_positions,
    build_sigma,
    last_position,
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
    of_categories = torch.empty(MAX_LENGTH, 3, dtype=torch.double).exponential_(generator=generator)
    position_of_target = position_of_item = torch.arange(MAX_LENGTH)  # for a single sequence outside the loss
    original = SIGMA.loss_terms

    def loss_terms(self, batch):
        nonlocal position_of_target, position_of_item
        position_of_item = batch.packing.position
        position_of_target = batch.select(position_of_item)
        return original(self, batch)

    def randn_like(like):
        if like.dim() == 3:  # [N, K, D]
            return of_interests[position_of_target, : like.shape[1]].to(like.dtype)
        return of_sequence[position_of_item[: len(like)]].to(like.dtype)  # [M, D]

    def exponential_(tensor):  # [M, K]
        return tensor.copy_(of_categories[position_of_item[: len(tensor)], : tensor.shape[1]])

    monkeypatch.setattr(SIGMA, "loss_terms", loss_terms)
    monkeypatch.setattr(torch, "randn_like", randn_like)
    monkeypatch.setattr(torch.Tensor, "exponential_", exponential_)


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
    return None if model.context is None else model.interest_encoder.mean_and_intensity(items, packing)


def outputs(model, item_seq):
    """Everything that the model computes for each position."""
    parts, mask = {}, item_seq != 0
    items, packing = without_padding(model, item_seq)
    if model.scorer == "sequence":
        mean, log_var = model.posterior(items, packing)
        z = gaussian.sample(mean, log_var) if model.training else mean
        decoded = model.decode(z, interests_of(model, items, packing), packing)
        parts = {"mean": mean, "log_var": log_var, "decoded": decoded}
    if model.num_interests:
        parts.update(
            {f"interest_{name}": part for name, part in model.interest_encoder(items, packing)._asdict().items()}
        )
    return {name: to_places(part, mask) for name, part in parts.items()}


CHANGED_AFTER = [
    pytest.param(settings, training, cut, id=f"{name}-{'train' if training else 'eval'}-{cut}")
    for name, settings in [*[(p, {"position": p}) for p in POSITIONS], ("interests", {"scorer": "interests"})]
    for training in (False, True)
    for cut in (1, 3, 6)
]


@pytest.mark.parametrize("settings, training, cut", CHANGED_AFTER)
@torch.no_grad()
def test_causality_items_after_a_position_change_nothing_up_to_it(settings, training, cut, noise):
    model = random_sigma(**settings).train(training)
    item_seq = torch.tensor([[3, 7, 7, 12, 1, 20, 5, 2]])
    before = outputs(model, item_seq)
    for later in ([19] * (8 - cut), list(range(10, 18 - cut)), [0] * (8 - cut)):
        after = outputs(model, torch.tensor([item_seq[0, :cut].tolist() + later]))
        for name in before:
            torch.testing.assert_close(after[name][:, :cut], before[name][:, :cut], msg=name)
            if later[0]:
                assert not torch.isclose(after[name][:, cut], before[name][:, cut]).all(), f"{name} ignores its item"


@pytest.mark.parametrize("settings, training, cut", CHANGED_AFTER)
@torch.no_grad()
def test_causality_loss_terms_of_earlier_positions_do_not_depend_on_later_items(settings, training, cut, noise):
    model = random_sigma(**settings).train(training)
    sequence = [3, 7, 7, 12, 1, 20, 5, 2, 6]
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
    mean, log_var = (to_places(part, mask) for part in model.posterior(items, packing))
    z = mean + (log_var / 2).exp() * to_places(noise_of_sequence, mask)
    decoded = to_places(model.decode(z[mask], interests_of(model, items, packing), packing), mask)
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
    monkeypatch.setattr(torch, "randn_like", lambda like: of_shape[like.shape])
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
    mean, log_var = model.posterior(*without_padding(model, batch["item_id_list"]))
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
    assert "mean_encoder.0.attention.output.weight" in reached and "log_var_head.weight" in reached


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
        _, log_var = model.posterior(*without_padding(model, pad(SEQUENCES)))
        assert (log_var - bias).abs().max() < 0.5
    assert isinstance(build_sigma(log_var_bias=0.0).log_var_head, torch.nn.Identity)


@pytest.mark.parametrize("kind, term", [("loss", "sequence/ce"), ("mie_loss", "interests/ce")])
def test_sampled_loss_of_the_whole_catalog_is_the_full_loss(kind, term, noise, monkeypatch):
    batch = all_positions(*SEQUENCES)
    full = terms_of(random_sigma(), batch).sums[term]
    model = random_sigma(**{kind: "sampled", "num_negatives": NUM_ITEMS - 1})
    every_item_once = (torch.arange(NUM_ITEMS - 1, dtype=torch.double) + 0.5) / (NUM_ITEMS - 1)
    monkeypatch.setattr(torch, "rand", lambda *size, **options: every_item_once.view(size))
    torch.testing.assert_close(terms_of(model, batch).sums[term], full)


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
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_all_position_loss_is_the_mean_of_the_losses_of_the_prefixes(settings, training, noise):
    model = random_sigma(**settings, kl_weight=0.5, mie_weight=0.7).train(training)
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


def test_every_target_weighs_the_same_whatever_the_batch(noise):
    model = random_sigma(orth_weight=0.0)
    whole = model.calculate_loss(all_positions(*SEQUENCES))
    total = sum(len(sequence) - 1 for sequence in SEQUENCES)
    parts = [all_positions(*SEQUENCES[:1], width=6), all_positions(*SEQUENCES[1:])]
    torch.testing.assert_close(sum(model.calculate_loss(part, num_targets=total) for part in parts), whole)


def test_constraint_on_the_categories_is_not_divided_by_the_targets(noise):
    batch = all_positions(*SEQUENCES)
    with_it, without = random_sigma(orth_weight=2.0), random_sigma(orth_weight=0.0)
    for num_targets in (None, 100):
        difference = with_it.calculate_loss(batch, num_targets) - without.calculate_loss(batch, num_targets)
        torch.testing.assert_close(difference, 2 * terms_of(with_it, batch).values["orthogonality"])


@pytest.mark.parametrize("scorer", SCORERS)
def test_negatives_that_recbole_sampled_are_left_out(scorer, noise):
    """RecBole's loader puts its negatives below the positives, as rows of the same sequences with label 0."""
    model = random_sigma(scorer=scorer)
    positives = last_position(*SEQUENCES, width=MAX_LENGTH)
    negatives = [[*sequence[:-1], 13] for sequence in SEQUENCES]
    both = last_position(*SEQUENCES, *negatives, width=MAX_LENGTH, label=[1.0] * 4 + [0.0] * 4)
    expected = loss_terms(model, positives)
    for name, term in loss_terms(model, both).items():
        torch.testing.assert_close(term, expected[name], msg=name)
    torch.testing.assert_close(model.calculate_loss(both), model.calculate_loss(positives))


# 6. Scores -----------------------------------------------------------------------------------------------------------


@every_variant
@torch.no_grad()
def test_predict_is_the_gathered_full_sort(settings):
    model = random_sigma(**settings, temperature=0.5, interest_temperature=2.0).eval()
    full = model.full_sort_predict(last_position(*SEQUENCES))
    for item in range(1, NUM_ITEMS):
        batch = last_position(*([*sequence[:-1], item] for sequence in SEQUENCES))
        torch.testing.assert_close(model.predict(batch), full[:, item])


@pytest.mark.parametrize("scorer", SCORERS)
@torch.no_grad()
def test_scores_do_not_depend_on_the_batch_and_repeat_exactly(scorer):
    model = random_sigma(scorer=scorer).eval()
    batch = last_position(*SEQUENCES)
    scores = model.full_sort_predict(batch)
    assert torch.equal(scores, model.full_sort_predict(batch))
    order = [2, 0, 3, 1]
    torch.testing.assert_close(model.full_sort_predict(batch[order]), scores[order])


@torch.no_grad()
def test_scores_are_the_logits_of_13_and_9():
    batch = last_position(*SEQUENCES)
    rows, last = torch.arange(len(SEQUENCES)), batch["item_length"] - 1
    model = random_sigma(temperature=0.5).eval()
    mask = batch["item_id_list"] != 0
    items, packing = without_padding(model, batch["item_id_list"])
    mean, _ = model.posterior(items, packing)
    users = to_places(model.decoder(mean, packing), mask)[rows, last]
    torch.testing.assert_close(model.full_sort_predict(batch), users @ model.item_embedding.weight.T / 0.5)

    model = random_sigma(scorer="interests", interest_temperature=2.0).eval()
    mean = to_places(model.interest_encoder(*without_padding(model, batch["item_id_list"])).mean, mask)
    users = model.interest_decoder(mean[rows, last])  # [B, K, D]
    expected = (users @ model.item_embedding.weight.T).amax(1) / 2.0
    torch.testing.assert_close(model.full_sort_predict(batch), expected)


# 7. Gradients --------------------------------------------------------------------------------------------------------


def combinations(**choices):
    return [dict(zip(choices, values)) for values in itertools.product(*choices.values())]


OF_SEQUENCE = {"loss": ["full", "sampled"], "log_var_bias": [-2.0, 0.0], "normalize_items": [False, True]}
OF_INTERESTS = {
    "mie_loss": ["full", "sampled"],
    "soft_interest": ["sum", "mean"],
    "orth_loss": ["squared", "linear"],
    "mixture_mask": [False, True],
}
SWITCHES = {
    **{
        f"mixture_{position}_{context}": combinations(
            position=[position], decoder_context=[context], detach_prior=[False, True], **OF_SEQUENCE, **OF_INTERESTS
        )
        for position, context in [("relative", "none"), ("rotary", "interests"), ("absolute", "none")]
    },
    "standard": combinations(prior=["standard"], position=POSITIONS, **OF_SEQUENCE),
    "interests": combinations(
        scorer=["interests"], normalize_items=[False, True], interest=["both", "soft", "hard"], **OF_INTERESTS
    ),
}


@pytest.mark.parametrize("settings_of_group", SWITCHES.values(), ids=SWITCHES)
def test_every_parameter_gets_a_gradient_for_every_combination_of_switches(settings_of_group):
    batch = all_positions(*SEQUENCES)
    for settings in settings_of_group:
        torch.manual_seed(0)
        model = build_sigma(**settings).train()
        model.calculate_loss(batch).backward()
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                assert name.startswith("interest_encoder.gru") and settings["interest"] == "soft"
                continue
            assert parameter.grad is not None, f"{name} gets no gradient with {settings}"
            assert parameter.grad.isfinite().all(), f"gradient of {name} is not finite with {settings}"
            assert parameter.grad.any(), f"gradient of {name} is zero with {settings}"


# 8. Seeds ------------------------------------------------------------------------------------------------------------


def digest_of_a_short_training(seed, scorer):
    """Hash of the parameters after a few steps with dropout, Gumbel noise, draws and sampled negatives."""
    torch.manual_seed(seed)
    model = build_sigma(
        scorer=scorer, loss="sampled", mie_loss="sampled", hidden_dropout_prob=0.3, attn_dropout_prob=0.3
    ).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        model.calculate_loss(all_positions(*SEQUENCES)).backward()
        optimizer.step()
    parameters = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    return hashlib.sha256(parameters).hexdigest()


def test_a_seed_fixes_the_result_to_the_bit_also_in_a_fresh_process():
    here = [digest_of_a_short_training(0, scorer) for scorer in SCORERS]
    assert here == [digest_of_a_short_training(0, scorer) for scorer in SCORERS]
    assert set(here).isdisjoint(digest_of_a_short_training(1, scorer) for scorer in SCORERS)
    fresh = subprocess.run(
        [sys.executable, __file__, str(torch.get_num_threads())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
    )
    assert fresh.stdout.split() == here, fresh.stderr


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


REFUSED_BY_KIND = [
    (
        ["hidden_size", "inner_size", "n_layers", "n_heads", "num_categories", "num_negatives"],
        [0, -1, 1.5, "2", True, None],
    ),
    (["item_dropout_prob", "hidden_dropout_prob", "attn_dropout_prob"], [1.0, -0.1, "0.5", None, math.nan]),
    (
        ["initializer_range", "temperature", "category_temperature", "interest_temperature"],
        [0, -1.0, math.inf, None],
    ),
    (["kl_weight", "mie_weight", "mie_kl_weight", "orth_weight"], [-0.1, math.nan, math.inf, "1e-4", None]),
    (["kl_anneal_steps"], [-1, 0.5, None]),
    (["log_var_bias"], [math.nan, math.inf, "-2", None, False]),
    (["position", "prior", "scorer", "orth_loss", "interest", "soft_interest"], ["other", 1, None]),
    (["decoder_context", "loss", "mie_loss"], ["other", 1, None]),
    (["history_average"], [-1, 1.5, "2", True, None]),
    (["mixture_mask", "detach_prior", "normalize_items"], ["yes", 1, None]),
]
REFUSED = [(key, value) for keys, values in REFUSED_BY_KIND for key in keys for value in values]


def test_every_setting_has_values_that_are_refused():
    assert {key for key, _ in REFUSED} == set(SIGMA.rules)


@pytest.mark.parametrize("key, value", REFUSED)
def test_bad_value_of_a_setting_is_refused_by_name_with_what_is_expected(key, value):
    with pytest.raises(ConfigError) as refusal:
        build_sigma(**{key: value})
    assert str(refusal.value) == f"{key} is {value!r}; expected {SIGMA.rules[key].expected}"


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"hidden_size": 10, "n_heads": 4}, "hidden_size is 10; expected a multiple of n_heads = 4"),
        ({"hidden_size": 6, "n_heads": 2, "position": "rotary"}, "position is rotary.*expected an even number"),
        ({"prior": "standard", "scorer": "interests"}, "prior is standard.*expected scorer: sequence"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        build_sigma(**settings)


# Learning ------------------------------------------------------------------------------------------------------------


def walks(successor, count, length, generator):
    """Sequences in which every item is followed by its successor; their first items are drawn uniformly."""
    item = torch.randint(1, len(successor), (count,), generator=generator)
    steps = [item]
    for _ in range(length - 1):
        item = successor[item]
        steps.append(item)
    return torch.stack(steps, dim=1).tolist()


@pytest.mark.parametrize("scorer, top, threshold", [("sequence", 1, 0.9), ("interests", 4, 0.9)])
def test_order_is_learnt_to_a_hit_rate_out_of_reach_of_popularity(scorer, top, threshold):
    """The interests do not know which of them was served last, so the next item is looked for among K = 4."""
    num_items, generator = 41, torch.Generator().manual_seed(0)
    successor = torch.cat([torch.zeros(1).long(), torch.randperm(num_items - 1, generator=generator) + 1])
    torch.manual_seed(0)
    size = {"hidden_size": 32, "inner_size": 64, "num_categories": 4}
    model = build_sigma(num_items, scorer=scorer, hidden_dropout_prob=0.1, **size)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        model.calculate_loss(all_positions(*walks(successor, 32, 8, generator))).backward()
        optimizer.step()

    test = walks(successor, 500, 8, generator)
    target = torch.tensor([walk[-1] for walk in test]).unsqueeze(1)
    popular = torch.bincount(target.flatten(), minlength=num_items).topk(top).indices  # even knowing the answers
    assert (popular == target).any(1).float().mean() < 0.25
    with torch.no_grad():
        scores = model.eval().full_sort_predict(last_position(*test))[:, 1:]
    best = scores.topk(top).indices + 1
    assert (best == target).any(1).float().mean() > threshold


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    print(*(digest_of_a_short_training(0, scorer) for scorer in SCORERS))
