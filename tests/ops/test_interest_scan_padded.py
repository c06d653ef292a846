"""The scan of padded sequences against the definition, sequence by sequence."""

import pytest
import torch
from torch import nn

from recbole_sigma.ops.interest_scan import naive, padded

D = 4


@pytest.mark.parametrize("gru_settings", [{}, {"batch_first": True}, {"bias": False}], ids=str)
@pytest.mark.parametrize("num_categories, used", [(1, 1), (3, 3), (5, 2)])
@pytest.mark.parametrize("lengths, width, max_length", [((3, 1, 7, 0, 6), 7, 7), ((2, 1), 4, 9), ((1,), 1, 1)])
def test_states_of_all_prefixes_follow_the_definition(lengths, width, max_length, num_categories, used, gru_settings):
    torch.manual_seed(0)
    shape = len(lengths), width
    items, assigned = torch.randn(2, *shape, D, dtype=torch.double)
    probability = torch.randn(*shape, num_categories, dtype=torch.double).softmax(-1)
    category = torch.randint(used, shape)
    gru = nn.GRU(D, D, **gru_settings).double()
    found = padded.scan(items, probability, assigned, category, gru, max_length)
    inside = torch.arange(width) < torch.tensor(lengths).unsqueeze(1)
    parts = (part[inside] for part in (items, probability, assigned, category))
    for state, expected in zip(found, naive.scan(*parts, torch.tensor(lengths), gru)):
        torch.testing.assert_close(state[inside], expected)
