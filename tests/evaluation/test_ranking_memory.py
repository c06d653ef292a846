"""The memory that ranking takes, at the size of a large catalog."""

import pytest

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
run(4, 2, 8, 300, 5)
print(run(*map(int, sys.argv[1:])))
"""


@reads_proc
@pytest.mark.parametrize("num_vectors, tiles", [(1, 1), (4, 2)])
def test_ranking_takes_the_memory_of_a_tile_or_two_whatever_the_catalog(num_vectors, tiles):
    """One tile for the best scores of a user, one for those of one more vector; half as much for all else."""
    taken = measured(MEASURE, B, num_vectors, D, V, TOP)
    assert taken < 1.5 * tiles * 4 * TILE_SCORES < B * V * 4 / 4
