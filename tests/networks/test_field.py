"""Fields along an axis, held against what one-dimensional layers of PyTorch read."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from medseg.networks.anatomy.closed_forms import receptive_fields
from medseg.networks.anatomy.field import Field, convolved, resampled, transposed, united

SIZE = 96


def conv(kernel, stride, dilation, padding):
    weight = torch.full((1, 1, kernel), 1 / kernel, dtype=torch.float64)
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    return lambda x: F.conv1d(x, weight, **options), lambda f, n: convolved(f, kernel, **options)


def enlarge(kernel, stride, padding):
    weight = torch.full((1, 1, kernel), 1 / kernel, dtype=torch.float64)
    options = {"stride": stride, "padding": min(padding, kernel - 1)}
    return (
        lambda x: F.conv_transpose1d(x, weight, **options),
        lambda f, n: transposed(f, kernel, **options),
    )


def interpolate(times, mode, corners):
    options = {"align_corners": corners} if mode == "linear" else {}

    def run(x):
        return F.interpolate(x, size=max(2, int(x.shape[-1] * times)), mode=mode, **options)

    return run, lambda f, n: resampled(f, n, max(2, int(n * times)), mode=mode, **options)


STEPS = st.one_of(
    st.builds(
        conv, st.sampled_from([1, 2, 3, 5]), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2)
    ),
    st.builds(enlarge, st.sampled_from([2, 3, 4]), st.just(2), st.integers(0, 1)),
    st.builds(
        interpolate,
        st.sampled_from([0.5, 1.5, 2, 3]),
        st.sampled_from(["nearest", "nearest-exact", "linear"]),
        st.booleans(),
    ),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(STEPS, min_size=1, max_size=4))
def test_every_voxel_of_a_chain_sees_what_gradients_say(steps):
    x = torch.ones(1, 1, SIZE, dtype=torch.float64, requires_grad=True)
    y, field = x, Field()
    for run, follow in steps:
        field = follow(field, y.shape[-1])
        y = run(y)
        if y.shape[-1] < 4:
            return
    for index in range(y.shape[-1]):
        first, last = field.seen(index)
        if first < 8 or last >= SIZE - 8:  # beyond lies padding, whose edge interpolations see
            continue
        (gradient,) = torch.autograd.grad(y[0, 0, index], x, retain_graph=True)
        seen = gradient[0, 0].nonzero()
        if len(seen):  # a kernel smaller than its stride leaves voxels out
            assert (int(seen.min()), int(seen.max())) == (first, last), index


@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 3), st.integers(1, 3)), max_size=6))
def test_a_chain_of_convolutions_has_the_closed_forms_field(layers):
    field = Field()
    for kernel, stride, dilation in layers:
        field = convolved(field, kernel, stride=stride, dilation=dilation)
    kernels, strides, dilations = zip(*layers, strict=True) if layers else ((), (), ())
    assert field.size == ((1, *receptive_fields(kernels, strides, dilations))[-1])
    assert field.period == 1


def test_where_paths_meet_the_widest_is_seen():
    narrow, wide = convolved(Field(), 3, padding=1), convolved(Field(), 9, padding=4)
    assert united(narrow, wide) == wide
    left, right = convolved(Field(), 3, padding=2), convolved(Field(), 3, padding=0)
    assert united(left, right).size == 5


def test_voxels_enlarged_from_one_share_a_field():
    coarse = convolved(Field(), 3, stride=2, padding=1)
    fine = transposed(coarse, 2, stride=2)
    assert [fine.seen(i) for i in range(4)] == [(-1, 1), (-1, 1), (1, 3), (1, 3)]
    assert convolved(fine, 3, padding=1).size == 5


def test_paths_of_other_steps_are_laid_over_each_other():
    pooled = resampled(convolved(Field(), 4, stride=4), 24, 97)
    assert pooled.step != 1
    assert united(Field(), pooled).size >= 4


@pytest.mark.parametrize(("mode", "size"), [("nearest", 1), ("linear", 2), ("cubic", 4)])
def test_an_interpolation_reads_its_neighbours(mode, size):
    assert resampled(Field(), 10, 20, mode=mode).size == size
