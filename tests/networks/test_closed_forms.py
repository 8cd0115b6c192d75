"""The primer's formulas, held against PyTorch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from medseg.errors import InputError
from medseg.networks.anatomy.closed_forms import (
    convolution_parameters,
    output_size,
    receptive_fields,
)


def test_the_primers_example_sees_five_voxels():
    assert receptive_fields([3, 3], [1, 1]) == (3, 5)


@pytest.mark.parametrize(
    ("kernels", "strides", "dilations", "fields"),
    [
        ([1], None, None, (1,)),
        ([7], [2], None, (7,)),
        ([3, 3, 3], [2, 2, 2], None, (3, 7, 15)),  # 2^(k + 1) - 1
        ([3, 3, 3], None, [1, 2, 4], (3, 7, 15)),  # Yu and Koltun, arXiv 1511.07122, figure 1
        ([3, 1, 3], [1, 2, 1], None, (3, 3, 7)),
        ([11, 3, 5, 3], [4, 2, 1, 2], None, (11, 19, 51, 67)),  # AlexNet: Araujo et al. 2019
    ],
)
def test_receptive_fields_are_the_published_ones(kernels, strides, dilations, fields):
    assert receptive_fields(kernels, strides, dilations) == fields


def test_a_chain_of_no_layers_has_no_fields():
    assert receptive_fields([]) == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(([3, 3], [1]), "same layers"), (([3, 0],), "positive"), (([3], None, [0]), "positive")],
)
def test_chains_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        receptive_fields(*arguments)


@pytest.mark.parametrize(
    ("kernel", "ins", "outs", "groups", "bias"),
    [((3, 3), 1, 1, 1, True), ((3, 5), 4, 6, 2, True), ((3, 3, 1), 2, 5, 1, False)],
)
def test_parameters_are_those_of_a_convolution(kernel, ins, outs, groups, bias):
    make = {2: nn.Conv2d, 3: nn.Conv3d}[len(kernel)]
    layer = make(ins, outs, kernel, groups=groups, bias=bias)
    found = convolution_parameters(kernel, ins, outs, groups=groups, bias=bias)
    assert found == sum(p.numel() for p in layer.parameters())


def test_parameters_are_the_primers():
    assert convolution_parameters((3, 3), 16, 32) == (3 * 3 * 16 + 1) * 32


@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 3),
    more=st.integers(0, 20),
)
def test_output_size_is_that_of_a_convolution(kernel, stride, padding, dilation, more):
    size = (kernel - 1) * dilation + 1 + more
    layer = nn.Conv1d(1, 1, kernel, stride=stride, padding=padding, dilation=dilation)
    found = output_size(size, kernel, stride=stride, padding=padding, dilation=dilation)
    assert found == layer(torch.zeros(1, 1, size)).shape[-1]
    if dilation == 1:
        assert found == (size - kernel + 2 * padding) // stride + 1  # the primer's
