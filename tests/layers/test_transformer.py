"""What the encoders read, written out from its definition."""

import pytest
import torch
from torch.nn import functional as F

from recbole_sigma.layers.packing import Packing
from recbole_sigma.layers.transformer import SequenceInput

D, LENGTHS = 8, torch.tensor([3, 5])
M = int(LENGTHS.sum())


def sequence_input(position="relative", dropout=0.0, item_dropout=0.0, history_average=0):
    torch.manual_seed(0)
    return SequenceInput(D, dropout, item_dropout, position, int(LENGTHS.max()), history_average)


@pytest.mark.parametrize("position", ["absolute", "relative"])
@pytest.mark.parametrize("history_average", [0, 2])
def test_input_is_the_normed_item_and_position_and_their_average(position, history_average):
    module, items = sequence_input(position, history_average=history_average), torch.randn(M, D)
    expected = items
    if position == "absolute":
        place = [t for length in LENGTHS.tolist() for t in range(length)]
        expected = items + module.position_embedding.weight[place]
    expected = F.layer_norm(expected, (D,))
    if history_average:
        average = module.history_average(expected, Packing(LENGTHS))
        expected = F.layer_norm(expected + average, (D,))
    torch.testing.assert_close(module(items, Packing(LENGTHS)), expected)


def test_item_dropout_takes_whole_items_at_its_rate_in_training_alone():
    module = sequence_input(item_dropout=0.25)
    lengths = torch.tensor([4000])
    items, packing = torch.randn(4000, D), Packing(lengths)
    with torch.no_grad():
        output = module(items, packing)
        kept = module.eval()(items, packing)
    dropped = (output == 0).all(1)
    torch.testing.assert_close(output[~dropped], kept[~dropped], atol=1e-4, rtol=1e-4)  # layer norm takes the scale out
    assert dropped.double().mean() == pytest.approx(0.25, abs=0.03)
    assert not (kept == 0).all(1).any()
