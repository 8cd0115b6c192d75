import pytest

from medseg.planning.axes import as_oriented, coarsest_first


@pytest.mark.parametrize(
    ("spacing", "order"),
    [
        ((0.8, 0.8, 5.0), (2, 1, 0)),  # nnU-Net reads (k, j, i), and the coarsest is first there
        ((4.4, 0.45, 0.45), (0, 2, 1)),
        ((0.9, 4.0, 0.9), (1, 2, 0)),
        ((1.0, 1.0, 1.0), (2, 1, 0)),
        ((2.0, 1.0), (0, 1)),  # pictures: rows and columns in both
        ((1.0, 2.0), (0, 1)),
    ],
)
def test_order_is_that_of_nnunets_transposed_array(spacing, order):
    assert coarsest_first(spacing) == order


def test_values_follow_the_orientation():
    assert as_oriented((1, 2, 3), "RAS") == as_oriented((1, 2, 3), "LPI") == (1, 2, 3)
    assert as_oriented((1, 2, 3), "SAR") == (3, 2, 1)
    assert as_oriented((1, 2, 3), "PIR") == (2, 3, 1)
