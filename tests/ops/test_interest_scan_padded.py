"""The scan of padded sequences against the definition, sequence by sequence."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from recbole_sigma.ops.interest_scan import naive, padded

D = 4


@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=5).filter(any),
    more_width=st.integers(0, 2),
    more_steps=st.integers(0, 3),
    num_categories=st.sampled_from([1, 2, 3, 5]),
    used=st.sampled_from([1, 2, 4, 5]),
    gru_settings=st.fixed_dictionaries({"bias": st.booleans(), "batch_first": st.booleans()}),
    seed=st.integers(0, 2**32),
)
def test_states_of_all_prefixes_follow_the_definition(
    lengths, more_width, more_steps, num_categories, used, gru_settings, seed
):
    torch.manual_seed(seed)
    width = max(lengths) + more_width
    shape = len(lengths), width
    items, assigned = torch.randn(2, *shape, D, dtype=torch.double)
    probability = torch.randn(*shape, num_categories, dtype=torch.double).softmax(-1)
    category = torch.randint(min(used, num_categories), shape)
    gru = nn.GRU(D, D, **gru_settings).double()
    found = padded.scan(items, probability, assigned, category, gru, width + more_steps)
    inside = torch.arange(width) < torch.tensor(lengths).unsqueeze(1)
    parts = (part[inside] for part in (items, probability, assigned, category))
    for state, expected in zip(found, naive.scan(*parts, torch.tensor(lengths), gru)):
        torch.testing.assert_close(state[inside], expected)
