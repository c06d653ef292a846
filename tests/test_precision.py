"""Matrix products in bfloat16, everything else in float32."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from recbole_sigma import precision
from tests.model.helpers import EVERY_MODEL, all_positions, build, packed

SEQUENCES = [[3, 7, 7, 12, 1, 20], [5, 9], [20, 4, 11, 3, 8, 2, 6], [9, 9, 14, 5]]
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "linear", "mkldnn_linear"}
KEPT_WIDE = {
    *("_softmax", "_log_softmax", "logsumexp", "exp", "exp_", "log", "log1p", "logaddexp", "sigmoid", "tanh"),
    *("native_layer_norm", "native_layer_norm_backward", "_softmax_backward_data", "mean", "cumsum"),
    *("_thnn_fused_gru_cell", "mkldnn_rnn_layer", "rsqrt", "sqrt", "square", "_fused_adam_", "_foreach_add_"),
}


class Types(TorchDispatchMode):
    """Names of the operations that got a bfloat16 tensor, and of those that got none."""

    def __init__(self):
        super().__init__()
        self.narrow, self.wide = set(), set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        tensors = [arg for arg in torch.utils._pytree.tree_leaves(args) if isinstance(arg, torch.Tensor)]
        narrow = any(tensor.dtype == torch.bfloat16 for tensor in tensors)
        (self.narrow if narrow else self.wide).add(function._schema.name.split("::")[1])
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", [{}, {"soft_interest": "mean", "loss": "sampled", "mie_loss": "sampled"}], ids=str)
@pytest.mark.parametrize("model", ["SIGMA", "SASRecAP"])
def test_bf16_runs_products_in_bfloat16_and_nothing_that_needs_its_digits(model, settings, monkeypatch):
    monkeypatch.setattr(precision, "FEW_ROWS", 0)
    torch.manual_seed(0)
    settings = {key: value for key, value in settings.items() if model == "SIGMA" or key == "loss"}
    model = build(model, precision="bf16", **settings, hidden_dropout_prob=0.2, attn_dropout_prob=0.2).train()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    with Types() as types:
        loss = model.calculate_loss(all_positions(*SEQUENCES))
        loss.backward()
        optimizer.step()
    assert loss.dtype == torch.float32
    assert types.narrow & PRODUCTS
    assert types.narrow & KEPT_WIDE == set()
    assert "_fused_adam_" in types.wide and "native_layer_norm" in types.wide
    assert all(parameter.dtype == parameter.grad.dtype == torch.float32 for parameter in model.parameters())


@pytest.mark.parametrize("model", ["SIGMA", "SASRecAP", "ToyInterests"])
def test_layers_on_few_rows_stay_in_float32_and_the_loss_does_not(model, monkeypatch):
    batch = packed(*SEQUENCES)
    for few_rows, cast in [(precision.FEW_ROWS, False), (len(batch.items) + 1, False), (len(batch.items), True)]:
        monkeypatch.setattr(precision, "FEW_ROWS", few_rows)
        with Types() as types:
            build(model, precision="bf16").calculate_loss(batch).backward()
        assert "mm" in types.narrow and ("addmm" in types.narrow) == cast  # layers have a bias


@pytest.mark.parametrize("model", EVERY_MODEL)
def test_float32_runs_nothing_in_bfloat16(model):
    with Types() as types:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = build(model, precision="float32").calculate_loss(all_positions(*SEQUENCES))
        loss.backward()
    assert not types.narrow


@pytest.mark.parametrize("model", EVERY_MODEL)
def test_without_a_precision_a_model_follows_the_autocast_around_it(model):
    """Such as that of RecBole's trainers (``enable_amp``)."""
    for enabled in (False, True):
        with Types() as types:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
                loss = build(model, precision=None).calculate_loss(all_positions(*SEQUENCES))
            loss.backward()
        assert ("mm" in types.narrow) == enabled
        assert ("addmm" in types.narrow) == (enabled and model != "GRUAP")  # its only layer is recurrent


def test_auto_is_bfloat16_exactly_where_the_processor_multiplies_it(monkeypatch):
    for has_it in (True, False):
        monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: has_it)
        with precision.autocast("auto", "cpu"):
            assert torch.is_autocast_enabled("cpu") == has_it
    with precision.autocast("bf16", "cpu"):
        assert torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


@pytest.mark.parametrize(
    "flags, expected",
    [("fpu avx512_bf16 amx", True), ("fpu amx_bf16", True), ("fp asimd bf16", True), ("fpu avx512f xbf16", False)],
)
def test_instructions_are_read_from_the_list_of_the_processor(flags, expected, monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"model name : any\nflags : {flags}\n")
    multiplies_bfloat16 = precision.multiplies_bfloat16.__wrapped__
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")
    assert multiplies_bfloat16("cpu") == expected
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "absent")
    assert not multiplies_bfloat16("cpu")


@torch.no_grad()
def test_the_terms_of_the_kl_and_the_constraint_are_those_of_float32_to_the_bit():
    """With so few rows, everything before the terms runs in float32, so they get the same arguments."""
    terms = []
    for kind in ("float32", "bf16"):
        torch.manual_seed(0)
        model = build("SIGMA", precision=kind, hidden_size=64, initializer_range=0.5)
        terms.append(model.step_loss(all_positions(*SEQUENCES)).terms)
    wide, narrow = terms
    for name in ("sequence/kl", "interests/kl", "orthogonality"):
        assert torch.equal(wide[name], narrow[name]), name
    assert not torch.equal(wide["sequence/ce"], narrow["sequence/ce"])
