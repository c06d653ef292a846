"""The loop of an epoch is a plain loop of PyTorch in which every target weighs the same, at any precision."""

import copy

import pytest
import torch

STILL = {"item_dropout_prob": 0.0, "hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0}


def test_every_target_weighs_the_same_whatever_the_batches(make):
    """Without noise and dropout, the mean gradient of an epoch is that of one batch of all users."""
    still = {**STILL, "log_var_bias": -60.0, "mie_weight": 0.0, "orth_weight": 0.0, "kl_weight": 0.0}
    gradients = []
    for batch_size in (1000, 7):
        trainer, (train, _, _) = make(train_batch_size=batch_size, prior="standard", precision="float32", **still)
        model = trainer.model.train()
        for batch in train:
            (model.calculate_loss(batch, train.targets_per_batch) / len(train)).backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("clip", [None, {"max_norm": 0.1}])
def test_an_epoch_is_a_plain_loop_of_pytorch(make, clip):
    trainer, (train, _, _) = make(
        epochs=1, weight_decay=0.01, clip_grad_norm=clip, precision="float32", train_batch_size=7
    )
    model = copy.deepcopy(trainer.model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=trainer.learning_rate, weight_decay=0.01)
    state = train.generator.get_state()
    torch.manual_seed(1)
    losses = []
    for batch in train:
        optimizer.zero_grad()
        loss = model.calculate_loss(batch, train.targets_per_batch)
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        losses.append(loss.item())
    train.generator.set_state(state)
    torch.manual_seed(1)
    assert trainer._train_epoch(train, 0) == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    for (name, value), (_, expected) in zip(trainer.model.named_parameters(), model.named_parameters()):
        if "query_key_value.bias" not in name:  # that of keys has no gradient but rounding errors, which Adam enlarges
            torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-5, msg=name)
    assert trainer.optimizer.defaults["fused"]


def test_runs_in_bfloat16_and_float32_agree(make):
    """Losses of every epoch within 1 %, the metric within what two users of 40 make."""
    results = {}
    for precision in ("float32", "bf16"):
        trainer, (train, valid, _) = make(epochs=4, precision=precision, learning_rate=0.01)
        trainer.fit(train, valid, verbose=False, saved=False)
        results[precision] = list(trainer.train_loss_dict.values()), trainer.best_valid_score
    (losses, metric), (losses_in_bf16, metric_in_bf16) = results.values()
    assert losses != losses_in_bf16
    assert losses_in_bf16 == pytest.approx(losses, rel=0.01)
    assert metric_in_bf16 == pytest.approx(metric, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["SIGMA", "SASRecAP"])
def test_compiled_layers_compute_the_same(make, model):
    results = []
    for torch_compile in (False, True):
        trainer, (train, _, _) = make(
            model, torch_compile=torch_compile, train_batch_size=7, precision="float32", **STILL
        )
        torch.manual_seed(1)
        results.append((trainer._train_epoch(train, 0), trainer.model.state_dict()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    for name, value in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], value, rtol=1e-3, atol=1e-5, msg=name)
