"""What every next-item model does, whatever it computes, and what the base class does for all of them."""

import hashlib
import inspect
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from recbole_sigma.defaults import next_item_defaults
from recbole_sigma.errors import ConfigError
from recbole_sigma.evaluation import rank_catalog
from recbole_sigma.layers import gaussian, transformer
from recbole_sigma.layers.packing import Packing, pack
from recbole_sigma.layers.padded_packing import PaddedPacking
from recbole_sigma.model.base import LossTerms, NextItemRecommender, WarmUp
from tests.model import helpers
from tests.model.helpers import (
    EVERY_MODEL,
    MAX_LENGTH,
    NUM_ITEMS,
    RECBOLE,
    Catalog,
    all_positions,
    last_position,
    packed,
    pad,
)
from tests.model.toy_gru import GRUAP

SEQUENCES = [[3, 7, 7, 12, 1, 20], [5, 9], [20, 4, 11, 3, 8, 2, 6], [9, 9, 14, 5]]
POSITIONS = ["relative", "rotary", "absolute"]
CASES = {
    **dict.fromkeys(EVERY_MODEL, {}),
    "SIGMA of interests": {"scorer": "interests"},
    "SIGMA of targets": {"posterior": "target"},
    "SIGMA of components": {"components": "own", "component_share": 0.4},
}
MIXTURES = ["SIGMA of targets", "SIGMA of components"]
"""Models whose score is a mixture of softmaxes."""
TRANSFORMERS = [name for name, model in EVERY_MODEL.items() if transformer.RULES.keys() <= model.rules.keys()]
every_model = pytest.mark.parametrize("name", CASES)
every_position = pytest.mark.parametrize(
    "name, settings",
    [
        (name, settings)
        for name in CASES
        for settings in ([{"position": p} for p in POSITIONS] if name in TRANSFORMERS else [{}])
    ],
    ids=str,
)


def build(name, **settings):
    return helpers.build(name.split()[0], **CASES[name], **settings)


def build_random(name, **settings):
    return helpers.build_random(name.split()[0], **CASES[name], **settings)


@pytest.fixture
def no_noise(monkeypatch):
    """Models draw their mean."""
    monkeypatch.setattr(gaussian, "sample", lambda mean, log_var: mean)


# Training ------------------------------------------------------------------------------------------------------------


@every_position
@pytest.mark.parametrize("loss", ["full", "sampled"])
def test_loss_is_finite_and_every_parameter_gets_a_gradient(name, settings, loss):
    torch.manual_seed(0)
    dropout = {"hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2, "item_dropout_prob": 0.2}
    model = build(name, **settings, **dropout, loss=loss, mie_loss=loss).train()
    value = model.calculate_loss(packed(*SEQUENCES))
    value.backward()
    assert value.isfinite() and value.dim() == 0
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), parameter_name


@every_position
def test_padded_and_packed_batches_have_the_same_loss_and_the_same_gradients(name, settings):
    model = build_random(name, **settings).train()
    values = []
    for batch in (packed(*SEQUENCES), all_positions(*SEQUENCES), all_positions(*SEQUENCES, width=MAX_LENGTH)):
        torch.manual_seed(2)
        loss = model.calculate_loss(batch)
        values.append((loss, *torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)))
    for other in values[1:]:
        torch.testing.assert_close(other, values[0])


@every_model
def test_sums_over_all_positions_are_those_over_the_prefixes_one_row_each(name, no_noise):
    """So no term depends on later items or on other sequences, and none is divided by a number of targets."""
    model = build_random(name).eval()
    for sequences in ([[3, 7, 7, 12, 1, 20]], SEQUENCES):
        prefixes = [sequence[: end + 1] for sequence in sequences for end in range(1, len(sequence))]
        at_once = model.loss_terms(packed(*sequences))
        rows = model.loss_terms(model.training_batch(last_position(*prefixes)))
        assert at_once.num_targets == rows.num_targets == len(prefixes)
        alone = [model.loss_terms(model.training_batch(last_position(prefix))).sums for prefix in prefixes]
        for term, value in at_once.sums.items():
            torch.testing.assert_close(rows.sums[term], value)
            torch.testing.assert_close(sum(sums[term] for sums in alone), value)


@every_model
def test_negatives_that_recbole_sampled_are_ignored(name, no_noise):
    """RecBole's loader puts its negatives below the positives, as rows of the same sequences with label 0."""
    model = build_random(name).eval()
    negatives = [[*sequence[:-1], 13] for sequence in SEQUENCES]
    both = last_position(*SEQUENCES, *negatives, width=MAX_LENGTH, label=[1.0] * 4 + [0.0] * 4)
    torch.testing.assert_close(model.calculate_loss(both), model.calculate_loss(last_position(*SEQUENCES)))


@every_position
def test_a_training_step_never_waits_for_a_device(name, settings, monkeypatch):
    """Tensors on the device "meta" have no values: whoever asks for one, or for a shape that depends on one, fails."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # autocast does not know this device
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)
    batch = packed(*SEQUENCES, device="meta")
    for loss in ("full", "sampled"):
        dropout = {"hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2, "item_dropout_prob": 0.2}
        model = build(name, device="meta", **settings, **dropout, loss=loss, mie_loss=loss).to("meta").train()
        value = model.step_loss(batch, num_targets=5.0).total
        value.backward()
        assert value.device.type == "meta"
        assert all(parameter.grad is not None for parameter in model.parameters())


def digest_of_a_short_training(name, seed):
    """Hash of the parameters after a few steps with dropout, noise and sampled negatives."""
    torch.manual_seed(seed)
    dropout = {"hidden_dropout_prob": 0.3, "attn_dropout_prob": 0.3, "item_dropout_prob": 0.3}
    model = build(name, **dropout, loss="sampled", mie_loss="sampled").train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        model.calculate_loss(packed(*SEQUENCES)).backward()
        optimizer.step()
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()


def test_a_seed_fixes_a_training_to_the_bit_also_in_a_fresh_process():
    here = [digest_of_a_short_training(name, 0) for name in CASES]
    assert here == [digest_of_a_short_training(name, 0) for name in CASES]
    assert set(here).isdisjoint(digest_of_a_short_training(name, 1) for name in CASES)
    fresh = subprocess.run(
        [sys.executable, __file__, str(torch.get_num_threads())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
    )
    assert fresh.stdout.split() == here, fresh.stderr


@pytest.mark.parametrize("name", ["SASRecAP", "SIGMA", "GRUAP"])
def test_an_order_that_popularity_does_not_know_is_learnt(name):
    generator = torch.Generator().manual_seed(0)
    successor = torch.cat([torch.zeros(1).long(), torch.randperm(40, generator=generator) + 1])

    def walks(count):
        steps = [torch.randint(1, 41, (count,), generator=generator)]
        for _ in range(7):
            steps.append(successor[steps[-1]])
        return torch.stack(steps, 1).tolist()

    torch.manual_seed(0)
    model = build(name, num_items=41, hidden_size=32, inner_size=64, num_categories=4, hidden_dropout_prob=0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    for _ in range(100):
        optimizer.zero_grad()
        model.calculate_loss(packed(*walks(32))).backward()
        optimizer.step()
    test = walks(300)
    target = torch.tensor([walk[-1] for walk in test])
    assert torch.bincount(target).max() / len(target) < 0.1  # the share of the most popular item
    with torch.no_grad():
        best = model.eval().full_sort_predict(last_position(*test))[:, 1:].argmax(1) + 1
    assert (best == target).float().mean() > 0.9


# Scores --------------------------------------------------------------------------------------------------------------


@every_model
@torch.no_grad()
def test_scores_are_the_best_products_and_do_not_depend_on_padding_or_batch(name):
    model = build_random(name, normalize_items=True, temperature=0.5, interest_temperature=2.0).eval()
    batch = last_position(*SEQUENCES)
    users, items = model.user_vectors(batch), model.item_vectors
    assert users.shape[::2] == (len(SEQUENCES), items.shape[1])
    full = model.full_sort_predict(batch)
    products = torch.einsum("bkd,vd->bkv", users, items)
    if name in MIXTURES:
        assert model.no_vectors
        weights = model.mixture_weights(*pack(batch["item_id_list"]))
        expected = (weights.unsqueeze(-1) * products[:, :, 1:].softmax(-1)).sum(1)
        torch.testing.assert_close(full[:, 1:].exp(), expected)
        torch.testing.assert_close(expected.sum(1), torch.ones(len(SEQUENCES)).double())
    else:
        assert model.no_vectors is None
        torch.testing.assert_close(full, products.amax(1))
    assert torch.equal(full, model.full_sort_predict(batch))
    for item in range(1, NUM_ITEMS):
        rows = last_position(*([*sequence[:-1], item] for sequence in SEQUENCES))
        torch.testing.assert_close(model.predict(rows), full[:, item])
    for row, sequence in enumerate(SEQUENCES):
        for width in (len(sequence) - 1, MAX_LENGTH):
            torch.testing.assert_close(model.full_sort_predict(last_position(sequence, width=width))[0], full[row])


@every_model
@torch.no_grad()
def test_users_of_padded_sequences_are_those_of_packed_ones(name):
    """As exported programs read them."""
    model = build_random(name).eval()
    rows = pad([sequence[:-1] for sequence in SEQUENCES], MAX_LENGTH)
    users = model.encode_users(rows.flatten(), PaddedPacking(rows, MAX_LENGTH))
    torch.testing.assert_close(users, model.user_vectors(last_position(*SEQUENCES)))


@pytest.mark.parametrize("name", ["SIGMA", "SIGMA of interests", *MIXTURES, "ToyInterests"])
@torch.no_grad()
def test_interests_are_those_of_the_prefix_and_weights_those_of_the_whole_sequence(name):
    model = build_random(name).eval()
    batch = packed(*SEQUENCES)
    ends = batch.packing.lengths.cumsum(0).tolist()
    interests, weights, spread = (
        ask(batch.items, batch.packing) for ask in (model.interests, model.weights, model.spread)
    )
    assert interests.shape == (len(batch.items), model.num_interests, model.item_vectors.shape[1])
    assert weights.shape == interests.shape[:2] and (weights >= 0).all()
    assert spread is None or spread.shape == (len(SEQUENCES), model.num_interests) and (spread > 0).all()
    for end, sequence in zip(ends, SEQUENCES):
        items = torch.tensor(sequence[:-1])
        start = end - len(items)
        own = Packing(torch.tensor([len(items)]))
        torch.testing.assert_close(model.weights(items, own), weights[start:end])
        assert weights[start:end].sum() > 0
        for length in range(1, len(items) + 1):
            of_prefix = model.interests(items[:length], Packing(torch.tensor([length])))[-1]
            torch.testing.assert_close(of_prefix, interests[start + length - 1])


# The base class ------------------------------------------------------------------------------------------------------


class Terms(NextItemRecommender):
    """A model whose loss has given terms and weights."""

    def __init__(self, sums, values=None, weights=None):
        super().__init__({**RECBOLE, "hidden_size": 4}, Catalog(NUM_ITEMS))
        self.sums, self.values, self.loss_weights = sums, values or {}, weights or {}

    def encode_users(self, items, packing):
        return self.item_embedding(items)[packing.last].unsqueeze(1)

    def loss_terms(self, batch):
        return LossTerms(self.sums, len(batch.target), self.values)


def scalars(**values):
    return {name.replace("_", "/"): torch.tensor(value, requires_grad=True) for name, value in values.items()}


BATCH = packed([1, 2, 3], [4, 5])  # three targets


def test_sums_are_weighted_by_term_and_part_and_divided_by_the_targets_and_values_are_not():
    sums = scalars(ce=8.0, interests_ce=6.0, interests_kl=10.0)
    values = scalars(constraint=5.0, other=7.0)
    weights = {"interests": 0.5, "interests/kl": 0.1, "constraint": 2.0}
    model = Terms(sums, values, weights)
    for num_targets in (None, 3, 16.0):
        loss = model.step_loss(BATCH, num_targets)
        n = num_targets or 3
        assert loss.total.item() == pytest.approx((8 + 0.5 * (6 + 0.1 * 10)) / n + 2 * 5 + 7)
        assert {name: term.item() for name, term in loss.terms.items()} == pytest.approx(
            {"ce": 8 / n, "interests/ce": 6 / n, "interests/kl": 10 / n, "constraint": 5, "other": 7}
        )
        assert not any(term.requires_grad for term in loss.terms.values())
        gradients = torch.autograd.grad(loss.total, [*sums.values(), *values.values()])
        assert torch.stack(gradients).tolist() == pytest.approx([1 / n, 0.5 / n, 0.05 / n, 2, 1])
        torch.testing.assert_close(model.calculate_loss(BATCH, num_targets), loss.total)


def test_a_warm_up_takes_its_steps_in_training_alone():
    weights = {"kl": WarmUp(0.8, steps=4), "part": WarmUp(1.0, steps=2), "constraint": WarmUp(10.0, steps=0)}
    model = Terms(scalars(kl=3.0, part_a=30.0), scalars(constraint=1.0), weights).train()
    totals = [model.step_loss(BATCH).total.item() for _ in range(3)]
    assert totals == pytest.approx([0.2 + 5 + 10, 0.4 + 10 + 10, 0.6 + 10 + 10])
    model.eval()
    assert [model.step_loss(BATCH).total.item() for _ in range(2)] == pytest.approx([0.8 + 10 + 10] * 2)
    resumed = Terms(model.sums, model.values, weights).train()
    resumed.load_state_dict(model.state_dict())
    assert [resumed.step_loss(BATCH).total.item() for _ in range(2)] == pytest.approx([0.8 + 10 + 10] * 2)
    assert (model.step, resumed.step) == (3, 5)


def test_checkpoints_without_a_number_of_steps_are_loaded():
    model = Terms(scalars(ce=1.0))
    state = {name: value for name, value in model.state_dict().items() if name != "step"}
    Terms(scalars(ce=1.0)).load_state_dict(state)
    with pytest.raises(RuntimeError, match="Missing key.*item_embedding.weight"):
        model.load_state_dict({})


@every_model
def test_terms_of_a_step_are_those_of_the_model_per_target(name):
    model, batch = build_random(name).eval(), packed(*SEQUENCES)
    with torch.random.fork_rng():
        terms = model.loss_terms(batch)
    logged = model.step_loss(batch, 7.5).terms
    assert list(logged) == [*terms.sums, *terms.values]
    for term, value in terms.sums.items():
        torch.testing.assert_close(logged[term], value / 7.5)
    for term, value in terms.values.items():
        torch.testing.assert_close(logged[term], value)


@pytest.mark.parametrize("missing", ["encode_users", "loss_terms"])
def test_a_model_without_a_part_of_the_contract_cannot_be_built(missing):
    incomplete = type("Incomplete", (GRUAP,), {missing: getattr(NextItemRecommender, missing)})
    with pytest.raises(TypeError, match=f"Incomplete.*{missing}"):
        incomplete({**RECBOLE, "hidden_size": 4}, Catalog(NUM_ITEMS))


# Settings ------------------------------------------------------------------------------------------------------------


def test_the_gru_of_the_documents_reads_no_setting_of_a_transformer():
    page = Path(__file__).parents[2] / "docs" / "new-model.md"
    assert inspect.getsource(GRUAP) in page.read_text(encoding="utf-8")

    class Recorded(dict):
        read = set()

        def __getitem__(self, key):
            self.read.add(key)
            return super().__getitem__(key)

    GRUAP(Recorded({**RECBOLE, **next_item_defaults(None)}), Catalog(NUM_ITEMS))
    assert "hidden_size" in Recorded.read
    assert Recorded.read <= {*RECBOLE, *next_item_defaults(None)}
    assert not Recorded.read & transformer.RULES.keys()


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_a_wrong_value_of_any_setting_raises_an_error_that_names_it(name):
    wrong = object()
    for key, rule in EVERY_MODEL[name].rules.items():
        with pytest.raises(ConfigError) as error:
            build(name, **{key: wrong})
        assert str(error.value) == f"{key} is {wrong!r}; expected {rule.expected}"
    with pytest.raises(ConfigError, match="transform is 'mask_itemseq'; expected nothing"):
        build(name, transform="mask_itemseq")


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_settings_of_a_transformer_that_do_not_fit_together_raise_an_error(name):
    for settings, message in [
        ({"hidden_size": 10, "n_heads": 4}, "hidden_size is 10; expected a multiple of n_heads = 4"),
        ({"hidden_size": 6, "n_heads": 2, "position": "rotary"}, "position is rotary.*expected an even number"),
        ({"history_average": 3}, "history_average is 3; expected 0 for none, or a number .* divides hidden_size = 8"),
        ({"position": "learnt"}, "position is 'learnt'; expected one of relative, rotary, absolute"),
    ]:
        with pytest.raises(ConfigError, match=message):
            build(name, **settings)


# SASRecAP ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize_items", [False, True])
def test_loss_of_sasrec_ap_is_the_mean_over_prefixes_of_the_cross_entropy_of_their_next_item(normalize_items):
    model = build_random("SASRecAP", temperature=0.7, normalize_items=normalize_items).train()
    losses = []
    for sequence in SEQUENCES:
        for end in range(1, len(sequence)):
            scores = model.full_sort_predict(last_position(sequence[: end + 1]))[0, 1:]
            losses.append(F.cross_entropy(scores, torch.tensor(sequence[end] - 1)))
    torch.testing.assert_close(model.calculate_loss(packed(*SEQUENCES)), torch.stack(losses).mean())
    of_nine = model.calculate_loss(packed(*SEQUENCES), num_targets=9)
    torch.testing.assert_close(of_nine, torch.stack(losses).sum() / 9)


def test_sasrec_ap_has_the_parameters_of_one_of_the_transformers_of_sigma():
    own = {name: value.shape for name, value in build("SASRecAP").named_parameters()}
    sigma = {name: value.shape for name, value in build("SIGMA").named_parameters()}
    renamed = {name.replace("encoder.", "mean_encoder.", 1): shape for name, shape in own.items()}
    item_vectors = {"item_embedding.weight": renamed.pop("item_embedding.weight")}
    assert {**item_vectors, **{f"sequence.{name}": shape for name, shape in renamed.items()}}.items() <= sigma.items()


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    print(*(digest_of_a_short_training(name, 0) for name in CASES))


@every_model
def test_a_weight_of_no_term_is_refused_with_the_names_there_are(name):
    model = build(name).train()
    model.loss_weights["orthogonalty"] = 0.1
    with pytest.raises(ConfigError, match="loss_weights of .* has orthogonalty; expected names of terms .*ce"):
        model.calculate_loss(packed(*SEQUENCES))


@pytest.mark.parametrize(
    "take", [lambda states, packing: states.unsqueeze(1), lambda states, packing: states[packing.last]]
)
def test_user_vectors_of_another_shape_are_refused_before_they_are_ranked(take):
    """A vector after each item instead of the last ones, and vectors without their number of interests."""
    model = build("SASRecAP").eval()
    model.encode_users = lambda items, packing: take(model.encode(items, packing), packing)
    rows = last_position(*SEQUENCES)
    with torch.no_grad(), pytest.raises(ConfigError, match=r"SASRecAP: encode_users gives .* for 4 sequences"):
        rank_catalog(model, rows, model.n_items, 3, None, None)
