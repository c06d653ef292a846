"""The map of the items: neighbours stay neighbours, and it is always the same."""

import numpy as np
import pytest

from recbole_sigma.report.projection import project


def directions(num_of_each, dimensions, seed=0):
    """Vectors around three directions, of any length."""
    generator = np.random.default_rng(seed)
    centers = np.eye(3, dimensions).repeat(num_of_each, axis=0)
    noisy = centers + 0.05 * generator.normal(size=centers.shape)
    return noisy * generator.uniform(0.1, 10, (len(noisy), 1))


def test_vectors_of_one_direction_are_neighbours():
    place = project(directions(40, 16))
    group = np.arange(3).repeat(40)
    distance = np.linalg.norm(place[:, None] - place[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (group[distance.argmin(1)] == group).all()


def test_it_is_always_the_same():
    vectors = directions(20, 8)
    np.testing.assert_array_equal(project(vectors), project(vectors.copy()))


@pytest.mark.parametrize("num_items, dimensions", [(5, 1), (5, 64), (7, 2)])
def test_few_items_and_dimensions_do(num_items, dimensions):
    place = project(np.random.default_rng(0).normal(size=(num_items, dimensions)))
    assert place.shape == (num_items, 2) and np.isfinite(place).all()


def test_a_vector_of_zeros_has_a_place():
    vectors = directions(5, 8)
    vectors[3] = 0
    assert np.isfinite(project(vectors)).all()


def test_too_few_items_are_refused():
    with pytest.raises(ValueError, match="there are 4 vectors"):
        project(np.eye(4))
