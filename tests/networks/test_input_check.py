from __future__ import annotations

import pytest
import torch

from medseg.errors import InputError
from medseg.networks.input_check import check_input


def problem(shape, *, in_channels=2, divisor=(4, 8, 8)):
    with pytest.raises(InputError) as caught:
        check_input(torch.empty(shape), in_channels=in_channels, divisor=divisor)
    return caught.value


def test_a_fitting_batch_passes():
    check_input(torch.empty(1, 2, 4, 8, 16), in_channels=2, divisor=(4, 8, 8))


def test_sizes_that_do_not_divide_are_answered_with_sizes_that_do():
    error = problem((1, 2, 6, 8, 20))
    assert error.expected == "multiples of (4, 8, 8)"
    assert error.found == "(6, 8, 20)"
    assert error.remedy == "pad or crop: (4, 8, 16) or (8, 8, 24)"


def test_a_size_below_the_divisor_is_never_answered_with_zero():
    assert problem((1, 2, 3, 8, 8)).remedy == "pad or crop: (4, 8, 8)"


def test_wrong_channels_name_both_numbers():
    error = problem((1, 1, 4, 8, 8))
    assert "2" in error.expected
    assert "1" in error.found
    assert "in_channels=1" in error.remedy


def test_a_missing_batch_axis_is_named():
    error = problem((2, 4, 8, 8))
    assert error.expected == "(B, 2, I, J, K)"
    assert error.found == "(2, 4, 8, 8)"


def test_a_lone_voxel_at_the_bottom_is_refused():
    assert "(8, 8, 8)" in problem((1, 2, 4, 8, 8)).remedy
