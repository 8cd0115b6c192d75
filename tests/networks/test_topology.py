from __future__ import annotations

import pytest

from medseg.errors import InputError
from medseg.networks.topology import Topology, counts_per_stage


def test_defaults_halve_every_axis_at_every_stage_but_the_first():
    topology = Topology.read(spatial_dims=3, features=(32, 64, 128))
    assert topology.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2))
    assert topology.kernels == ((3, 3, 3),) * 3
    assert topology.divisor == (4, 4, 4)
    assert topology.stages == 3


def test_numbers_per_axis_and_for_all_axes_may_be_mixed():
    topology = Topology.read(
        spatial_dims=2, features=[8, 16, 32], strides=[1, (1, 2), [4, 2]], kernels=[(1, 3), 3, 5]
    )
    assert topology.divisor == (4, 4)
    assert topology.kernels == ((1, 3), (3, 3), (5, 5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spatial_dims": 1}, "spatial_dims must be 2 or 3"),
        ({"features": (8,)}, "two stages"),
        ({"features": (8, 0, 8)}, "two stages"),
        ({"features": (8, 16.5)}, "whole numbers"),
        ({"features": 32}, "whole numbers"),
        ({"strides": 2}, "one entry per stage"),
        ({"strides": (1, "2", 2)}, "whole numbers"),
        ({"strides": (1, 2)}, "strides and features"),
        ({"strides": (2, 2, 2)}, "first stage"),
        ({"strides": (1, (2, 2, 2), 2)}, "per axis"),
        ({"strides": (1, 0, 2)}, "positive"),
        ({"kernels": (3, 3)}, "kernels and features"),
        ({"kernels": (3, 2, 3)}, "odd"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        Topology.read(**{"spatial_dims": 2, "features": (8, 16, 32), **change})


def test_counts_are_one_number_or_one_per_stage():
    assert counts_per_stage("n", 2, 3) == (2, 2, 2)
    assert counts_per_stage("n", [1, 2, 3], 3) == (1, 2, 3)
    for wrong in (0, (1, 2), (1, 0, 1)):
        with pytest.raises(InputError, match="one per stage"):
            counts_per_stage("n", wrong, 3)
