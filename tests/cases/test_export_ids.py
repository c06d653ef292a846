"""Ids that are no item, given to exported programs."""

import pytest
import torch

from recbole_sigma.export.encoder import Encoder
from tests.export.test_programs import FORMATS
from tests.model.helpers import MAX_LENGTH, NUM_ITEMS, build_random

BAD = {
    "an unknown item": [3, -1, 5],
    "an unknown last item": [3, -1],
    "the last id from the end": [1, 1 - NUM_ITEMS],
    "above the catalog": [3, NUM_ITEMS],
    "an item after the padding": [3, 0, 5],
    "padding on the left": [0, 3, 5],
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("scores", [False, True])
def test_case_30_an_id_that_is_no_item_is_refused_by_the_program(tmp_path, format, scores):
    model = build_random("SASRecAP", MAX_ITEM_LIST_LENGTH=MAX_LENGTH).float().eval()
    write, load = FORMATS[format]
    write(Encoder(model, scores), tmp_path / "file")
    run = load(tmp_path / "file")
    assert run(torch.tensor([[3, 5, 0]])).isfinite().any()
    assert run(torch.tensor([[1, NUM_ITEMS - 1]])).isfinite().any()
    for name, ids in BAD.items():
        with pytest.raises(Exception, match="(?i)out of|range|bound"):
            run(torch.tensor([ids]))
            pytest.fail(f"{name} is taken")
