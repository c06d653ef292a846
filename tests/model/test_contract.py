"""What every model of the plugin has to do, whatever it computes."""

import hashlib
from contextlib import nullcontext

import pytest
import torch
from torch.nn import functional as F

from recbole_sigma.errors import ConfigError
from recbole_sigma.layers.packing import Packing, TrainingBatch
from recbole_sigma.model import MODELS
from tests.model.helpers import MAX_LENGTH, all_positions, build, build_random, last_position

SEQUENCES = [[3, 7, 7, 12, 1, 20], [5, 9], [20, 4, 11, 3, 8, 2, 6], [9, 9, 14, 5]]
POSITIONS = ["relative", "rotary", "absolute"]
every_model = pytest.mark.parametrize("name", MODELS)


def packed(*sequences, device="cpu"):
    """What the plugin's loader makes of whole sequences."""
    items = torch.tensor([item for sequence in sequences for item in sequence[:-1]], device=device)
    target = torch.tensor([item for sequence in sequences for item in sequence[1:]], device=device)
    return TrainingBatch(items, Packing(torch.tensor([len(s) - 1 for s in sequences]), device), target, None)


def loss_of(model, batch, num_targets=None):
    torch.manual_seed(2)
    return model.calculate_loss(batch, num_targets)


@every_model
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("loss", ["full", "sampled"])
def test_loss_is_finite_and_every_parameter_gets_a_gradient(name, position, loss):
    torch.manual_seed(0)
    model = build(name, position=position, loss=loss, hidden_dropout_prob=0.2, attn_dropout_prob=0.2).train()
    value = model.calculate_loss(packed(*SEQUENCES))
    value.backward()
    assert value.isfinite() and value.dim() == 0
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), parameter_name


@every_model
@pytest.mark.parametrize("position", POSITIONS)
def test_padded_and_packed_batches_have_the_same_loss_and_the_same_gradients(name, position):
    model = build_random(name, position=position).train()
    values = []
    for batch in (packed(*SEQUENCES), all_positions(*SEQUENCES), all_positions(*SEQUENCES, width=MAX_LENGTH)):
        loss = loss_of(model, batch)
        values.append((loss, *torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)))
    for other in values[1:]:
        torch.testing.assert_close(other, values[0])


@every_model
@torch.no_grad()
def test_predict_is_the_gathered_full_sort_and_does_not_depend_on_padding_or_batch(name):
    model = build_random(name, temperature=0.5).eval()
    full = model.full_sort_predict(last_position(*SEQUENCES))
    for item in (1, 9, 20):
        torch.testing.assert_close(
            model.predict(last_position(*([*sequence[:-1], item] for sequence in SEQUENCES))), full[:, item]
        )
    for row, sequence in enumerate(SEQUENCES):
        alone = model.full_sort_predict(last_position(sequence, width=MAX_LENGTH))
        torch.testing.assert_close(alone[0], full[row])


@every_model
@torch.no_grad()
def test_scores_are_the_best_product_of_the_user_vectors_with_the_item_vectors(name):
    model = build_random(name, normalize_items=True, temperature=0.5).eval()
    batch = last_position(*SEQUENCES)
    users, items = model.user_vectors(batch), model.item_vectors
    assert users.shape[::2] == (len(SEQUENCES), items.shape[1])
    torch.testing.assert_close(model.full_sort_predict(batch), torch.einsum("bkd,vd->bkv", users, items).amax(1))


@every_model
def test_a_seed_fixes_a_training_to_the_bit(name):
    def digest(seed):
        torch.manual_seed(seed)
        model = build(name, loss="sampled", hidden_dropout_prob=0.3, attn_dropout_prob=0.3).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
        for _ in range(3):
            optimizer.zero_grad()
            model.calculate_loss(packed(*SEQUENCES)).backward()
            optimizer.step()
        return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()

    assert digest(0) == digest(0) != digest(1)


@every_model
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("loss", ["full", "sampled"])
def test_a_training_step_never_waits_for_a_device(name, position, loss, monkeypatch):
    """Tensors of the device "meta" have no values: whoever asks for one, or for a shape that depends on one, fails."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # autocast does not know this device
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)
    batch = packed(*SEQUENCES, device="meta")
    model = build(name, position=position, loss=loss, device="meta", hidden_dropout_prob=0.2, attn_dropout_prob=0.2)
    model = model.to("meta").train()
    value = model.calculate_loss(batch, num_targets=5.0)
    value.backward()
    assert value.device.type == "meta"
    assert all(parameter.grad is not None for parameter in model.parameters())


@every_model
@pytest.mark.parametrize(
    "settings, message",
    [
        ({"hidden_size": 10, "n_heads": 4}, "hidden_size is 10; expected a multiple of n_heads = 4"),
        ({"hidden_size": 6, "n_heads": 2, "position": "rotary"}, "position is rotary.*expected an even number"),
        ({"history_average": 3}, "history_average is 3; expected 0 for none, or a number of feature groups that divides hidden_size = 8"),
        ({"transform": "mask_itemseq"}, "transform is 'mask_itemseq'; expected nothing"),
        ({"position": "learnt"}, "position is 'learnt'; expected one of relative, rotary, absolute"),
    ],
)
def test_settings_that_are_wrong_are_refused(name, settings, message):
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
    assert renamed.items() <= sigma.items()


def test_sasrec_ap_learns_an_order_that_popularity_does_not_know():
    generator = torch.Generator().manual_seed(0)
    successor = torch.cat([torch.zeros(1).long(), torch.randperm(40, generator=generator) + 1])

    def walks(count):
        steps = [torch.randint(1, 41, (count,), generator=generator)]
        for _ in range(7):
            steps.append(successor[steps[-1]])
        return torch.stack(steps, 1).tolist()

    torch.manual_seed(0)
    model = build("SASRecAP", 41, hidden_size=32, inner_size=64, hidden_dropout_prob=0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        model.calculate_loss(packed(*walks(32))).backward()
        optimizer.step()
    test = walks(300)
    with torch.no_grad():
        best = model.eval().full_sort_predict(last_position(*test))[:, 1:].argmax(1) + 1
    assert (best == torch.tensor([walk[-1] for walk in test])).float().mean() > 0.9
