"""Memory of a loss and its gradients for a large catalog."""

from recbole_sigma.ops.interest_cross_entropy.tiled import TILE_SCORES
from tests.memory import measured, reads_proc

N, K, D, V = 256, 4, 64, 100_000

MEASURE = """
import sys

import torch

from recbole_sigma.ops import interest_cross_entropy


def run(num_rows, num_interests, num_dimensions, num_items):
    interests = torch.randn(num_rows, num_interests, num_dimensions, requires_grad=True)
    items = torch.randn(num_items, num_dimensions, requires_grad=True)
    target = torch.randint(num_items, (num_rows,))
    before = resident("VmRSS")
    interest_cross_entropy(interests, items, target, impl="tiled").mean().backward()
    assert items.grad.shape == items.shape
    return resident("VmHWM") - before


torch.set_num_threads(1)
run(4, 2, 8, 10)
print(run(*map(int, sys.argv[1:])))
"""


@reads_proc
def test_tiled_takes_memory_for_gradients_and_tiles_but_not_for_scores():
    """Each gradient has two parts, from the targets and from the other items, and one more place for their sum."""
    gradients, tile, scores = 4 * (N * K * D + V * D), 4 * TILE_SCORES, 4 * N * K * V
    assert measured(MEASURE, N, K, D, V) < 3 * gradients + 8 * tile < scores / 4
