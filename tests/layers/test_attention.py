"""Causal attention against a naive loop, and what its three ways to tell positions apart depend on."""

import math

import pytest
import torch

from recbole_sigma.layers.attention import CausalSelfAttention, RotaryPosition, causal_bias
from recbole_sigma.layers.packing import Packing
from recbole_sigma.layers.transformer import CausalTransformer, TransformerBlock

B, T, D, HEADS, MAX_LENGTH = 3, 6, 8, 2, 9
POSITIONS = ["relative", "rotary", "absolute"]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def randomised(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.5)
    return module.double()


def attention(position, dropout=0.0):
    return randomised(CausalSelfAttention(D, HEADS, dropout, position, MAX_LENGTH))


def transformer(position, hidden_dropout=0.0, attn_dropout=0.0, n_layers=2):
    return randomised(
        CausalTransformer(
            n_layers,
            hidden_size=D,
            n_heads=HEADS,
            inner_size=2 * D,
            hidden_dropout=hidden_dropout,
            attn_dropout=attn_dropout,
            position=position,
            max_length=MAX_LENGTH,
        )
    )


def on_padded(module, x):
    """The module on sequences without padding ``[B, T, D]``."""
    return module(x.flatten(0, 1), Packing(torch.full(x.shape[:1], x.shape[1]))).view_as(x)


def rotate(vector, position):
    """Pairs of features as complex numbers, turned by ``position`` times a frequency for each pair."""
    size = len(vector)
    turned = []
    for pair in range(size // 2):
        angle = position * 10000.0 ** (-2 * pair / size)
        number = complex(vector[2 * pair], vector[2 * pair + 1]) * complex(math.cos(angle), math.sin(angle))
        turned += [number.real, number.imag]
    return torch.tensor(turned, dtype=torch.double)


def naive_attention(module, x, position, kept=None):
    """One sequence, head, query and key at a time; ``kept [B, H, T, T]`` multiplies the weights."""
    size = D // HEADS
    result = torch.zeros_like(x)
    for b in range(len(x)):
        query, key, value = (module.query_key_value(x[b]).detach()).split(D, dim=-1)
        for t in range(x.shape[1]):
            heads = []
            for head in range(HEADS):
                part = slice(head * size, (head + 1) * size)
                scores = []
                for s in range(t + 1):
                    q, k = query[t, part], key[s, part]
                    if position == "rotary":
                        q, k = rotate(q, t), rotate(k, s)
                    score = q @ k / math.sqrt(size)
                    if position == "relative":
                        score = score + module.distance_bias[head, t - s]
                    scores.append(score)
                weights = torch.stack(scores).softmax(0)
                if kept is not None:
                    weights = weights * kept[b, head, t, : t + 1]
                heads.append(sum(weight * value[s, part] for s, weight in enumerate(weights)))
            result[b, t] = module.output(torch.cat(heads))
    return result


@pytest.mark.parametrize("position", POSITIONS)
@torch.no_grad()
def test_attention_equals_a_naive_loop_over_queries_and_keys(position):
    module, x = attention(position), torch.randn(B, T, D, dtype=torch.double)
    # The angles of rotary are kept in float32.
    torch.testing.assert_close(on_padded(module, x), naive_attention(module, x, position), rtol=1e-6, atol=1e-6)


class Kept(torch.nn.Module):
    """Dropout that keeps what it is told."""

    p = 0.5

    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def forward(self, weights):
        return weights * self.kept


@pytest.mark.parametrize("position", POSITIONS)
@torch.no_grad()
def test_dropout_in_training_drops_weights_of_attention_after_the_softmax(position):
    module, x = attention(position), torch.randn(B, T, D, dtype=torch.double)
    kept = 2.0 * (torch.rand(B, HEADS, T, T) < 0.5).double()
    module.dropout = Kept(kept)
    expected = naive_attention(module, x, position, kept)
    torch.testing.assert_close(on_padded(module.train(), x), expected, rtol=1e-6, atol=1e-6)
    plain = naive_attention(module, x, position)
    torch.testing.assert_close(on_padded(module.eval(), x), plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_causality_no_output_depends_on_a_later_input(position, training):
    module = transformer(position).train(training)
    x = torch.randn(1, T, D, dtype=torch.double)
    jacobian = torch.autograd.functional.jacobian(lambda x: on_padded(module, x), x)  # [1, T, D, 1, T, D]
    depends = jacobian.abs().amax(dim=(0, 2, 3, 5)) > 0  # [T, T]
    assert torch.equal(depends, torch.ones(T, T).tril().bool())


@pytest.mark.parametrize("position", POSITIONS)
@torch.no_grad()
def test_padding_on_the_right_and_other_sequences_change_nothing(position):
    module = transformer(position)
    x = torch.randn(B, MAX_LENGTH, D, dtype=torch.double)
    whole = on_padded(module, x)
    for length in range(1, MAX_LENGTH + 1):
        torch.testing.assert_close(on_padded(module, x[1:2, :length]), whole[1:2, :length])
    lengths = torch.arange(B) * 2 + 1
    mask = torch.arange(MAX_LENGTH) < lengths.unsqueeze(1)
    torch.testing.assert_close(module(x[mask], Packing(lengths)), whole[mask])


def is_toeplitz(matrix):
    return torch.allclose(matrix[..., 1:, 1:], matrix[..., :-1, :-1], atol=1e-5)


def test_relative_bias_depends_on_the_distance_only():
    table = torch.randn(HEADS, MAX_LENGTH)
    bias = causal_bias(table, T)[0]
    assert is_toeplitz(bias)
    for head in range(HEADS):
        for query in range(T):
            for key in range(T):
                expected = table[head, query - key].item() if key <= query else -math.inf
                assert bias[head, query, key].item() == expected


def test_rotary_scores_depend_on_the_distance_only():
    rotary = RotaryPosition(D, MAX_LENGTH)
    query, key = torch.randn(2, D)
    scores = rotary(query.expand(MAX_LENGTH, D)) @ rotary(key.expand(MAX_LENGTH, D)).T
    assert is_toeplitz(scores)
    assert scores[0].unique().numel() == MAX_LENGTH
    torch.testing.assert_close(rotary(query.expand(MAX_LENGTH, D)).norm(dim=-1), query.norm().expand(MAX_LENGTH))


@pytest.mark.parametrize("position, tells_order", [("relative", True), ("rotary", True), ("absolute", False)])
@torch.no_grad()
def test_order_of_earlier_inputs_is_seen_unless_positions_are_left_to_the_embedding(position, tells_order):
    module, x = attention(position), torch.randn(1, T, D, dtype=torch.double)
    swapped = x[:, [1, 0, *range(2, T)]]
    unchanged = torch.allclose(on_padded(module, x)[:, 2:], on_padded(module, swapped)[:, 2:])
    assert unchanged != tells_order


@torch.no_grad()
def test_block_adds_each_part_to_its_input_and_normalises_the_sum():
    block = randomised(TransformerBlock(D, HEADS, 2 * D, 0.0, 0.0, "absolute", MAX_LENGTH))
    x = torch.randn(B, T, D, dtype=torch.double)

    def normalised(x, norm):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias

    middle = normalised(x + naive_attention(block.attention, x, "absolute"), block.attention_norm)
    first, activation, second = block.feed_forward
    expected = normalised(middle + second(activation(first(middle))), block.feed_forward_norm)
    torch.testing.assert_close(on_padded(block, x), expected)


@pytest.mark.parametrize("dropouts", [{"hidden_dropout": 0.5}, {"attn_dropout": 0.5}], ids=["hidden", "attention"])
@torch.no_grad()
def test_dropout_acts_in_training_only(dropouts):
    x = torch.randn(B, T, D, dtype=torch.double)
    module = transformer("relative", **dropouts, n_layers=1)
    assert not torch.equal(on_padded(module, x), on_padded(module, x))
    module.eval()
    assert torch.equal(on_padded(module, x), on_padded(module, x))
