"""Memory of ranking a large catalog."""

from recbole_sigma.evaluation.ranking import TILE_SCORES
from tests.memory import measured, reads_proc

B, D, V, TOP = 512, 16, 200_000, 40

MEASURE = """
import sys

import torch

from recbole_sigma.evaluation import top_items


def run(num_rows, num_vectors, size, num_items, k):
    users, items = torch.randn(num_rows, num_vectors, size), torch.randn(num_items, size)
    excluded = torch.arange(num_rows).repeat(20), torch.randint(1, num_items, (20 * num_rows,))
    before = resident("VmRSS")
    top_items(users, items, k, excluded)
    return resident("VmHWM") - before


torch.set_num_threads(1)
num_rows, size, num_items, k = map(int, sys.argv[1:])
run(4, 2, 8, 300, 5)
print(run(num_rows, 1, size, num_items, k), run(num_rows, 4, size, num_items, k))
"""


@reads_proc
def test_ranking_takes_the_memory_of_a_tile_or_two_whatever_the_catalog():
    """One tile for the best scores of a user, one for those of one more vector; half as much for all else."""
    one_vector, four_vectors = measured(MEASURE, B, D, V, TOP)  # the second takes more: its peak is its own
    assert one_vector < 1.5 * 4 * TILE_SCORES
    assert one_vector < four_vectors < 1.5 * 2 * 4 * TILE_SCORES < B * V * 4 / 4
