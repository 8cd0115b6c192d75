import numpy as np
import pytest

from tests.benchmarks.em_rand import foreground_dice, v_rand


@pytest.fixture
def cells():
    """Four cells of 15 x 15, and membranes of two pixels between them."""
    image = np.ones((32, 32), bool)
    image[15:17] = False
    image[:, 15:17] = False
    return image


def test_the_same_membranes_score_one(cells):
    assert v_rand(~cells, cells) == pytest.approx(1.0)
    assert foreground_dice(~cells, cells) == 1.0


def test_thicker_membranes_score_one_too(cells):
    thick = np.zeros_like(cells)
    thick[13:19] = True
    thick[:, 13:19] = True
    assert v_rand(thick, cells) == pytest.approx(1.0)
    assert foreground_dice(thick, cells) < 0.6


def test_two_cells_in_one_score_by_rands_formula(cells):
    merged = ~cells
    merged[15:17, :15] = False
    merged[16, 15:17] = True
    # Pairs of pixels that share a cell of 15 x 15: in both, in the prediction, in the reference.
    pairs = [n * (n - 1) for n in (225, 450)]
    both, predicted, reference = 4 * pairs[0], pairs[1] + 2 * pairs[0], 4 * pairs[0]
    assert v_rand(merged, cells) == pytest.approx(2 * both / (predicted + reference))
