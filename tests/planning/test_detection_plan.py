from __future__ import annotations

import itertools

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.planning.anchor_sizes import concentric_iou, fit_anchors, mean_best_iou
from medseg.planning.detection import detection_plan

HALVES = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))


def nodules(count=200, *, typical=8.0, spread=0.4, axes=3, seed=0):
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(np.log(typical), spread, (count, 1)))
    return size * np.exp(rng.normal(0, 0.1, (count, axes)))


def plan(sizes, **kwargs):
    given = {"spacing": (1.0, 1.0, 1.0), "patch_size": (64, 64, 64), "strides": HALVES}
    return detection_plan(sizes, **{**given, **kwargs})


def test_concentric_iou_is_that_of_the_boxes():
    import torch

    from medseg.geometry.box_overlap import iou

    a, b = nodules(20), nodules(30, seed=1)
    corners = [torch.from_numpy(np.hstack([-s / 2, s / 2])) for s in (a, b)]
    assert np.allclose(concentric_iou(a, b), iou(*corners).numpy())


def test_one_anchor_is_the_best_of_a_grid():
    sizes = nodules(60, axes=2, spread=0.6)
    ours = mean_best_iou(sizes, fit_anchors(sizes, np.ones((1, 2)), 1))
    steps = np.linspace(sizes.min(), sizes.max(), 80)
    best = max(
        mean_best_iou(sizes, np.array([size])) for size in itertools.product(steps, repeat=2)
    )
    assert ours >= best - 1e-3


@pytest.mark.parametrize("count", [1, 2, 3])
def test_anchors_are_as_good_as_by_differential_evolution(count):
    """NnDetection's way to find them."""
    from scipy.optimize import differential_evolution

    sizes, scales = nodules(150), np.array([[1.0, 1, 1], [2, 2, 1]])

    def quality(anchors):
        return mean_best_iou(sizes, (scales[:, None] * anchors).reshape(-1, 3))

    ours = quality(fit_anchors(sizes, scales, count))
    found = differential_evolution(
        lambda x: -quality(np.exp(x).reshape(count, 3)),
        [(np.log(sizes.min() / 2), np.log(sizes.max()))] * (3 * count),
        seed=0,
        maxiter=40,
        popsize=10,
    )
    assert ours >= -found.fun - 0.005


def test_clusters_are_found():
    true = np.array([[4.0, 4, 4], [12, 6, 6]])
    sizes = np.repeat(true, 50, axis=0) * np.random.default_rng(0).uniform(0.97, 1.03, (100, 3))
    assert np.allclose(fit_anchors(sizes, np.ones((1, 3)), 2), true, rtol=0.03)


def test_the_plan_is_the_same_every_time():
    assert plan(nodules()) == plan(nodules())


def test_levels_follow_the_sizes():
    """Small boxes are 1.5 strides of the finest level, large ones 4 of the coarsest."""
    assert plan(nodules(typical=4)).levels == (0, 1)
    assert plan(nodules(typical=6, spread=0.1)).levels[0] == 1
    assert plan(nodules(typical=12)).levels[0] == 2
    wide = np.concatenate([nodules(typical=6, spread=0.1), nodules(typical=40, spread=0.1)])
    assert plan(wide).levels == (1, 2, 3, 4)
    assert plan(wide).strides == ((2,) * 3, (4,) * 3, (8,) * 3, (16,) * 3)


def test_thick_slices_count_in_voxels():
    flat = plan(
        nodules(typical=8) * 0.7,  # mm: round
        spacing=(0.7, 0.7, 2.8),
        strides=((1, 1, 1), (2, 2, 1), (2, 2, 1), (2, 2, 2)),
        levels=[1],
        num_anchors=1,
    )
    assert flat.strides[0] == (2, 2, 1)
    ((first,),) = flat.anchors
    assert first[0] / first[2] == pytest.approx(4, rel=0.1)


def test_anchors_grow_with_the_strides():
    planned = plan(nodules(spread=0.8), strides=((1, 1, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2)))
    anchors, strides = np.array(planned.anchors), np.array(planned.strides, dtype=float)
    assert len(anchors) > 1
    assert anchors.shape == (len(strides), planned.num_anchors, 3)
    assert np.allclose(anchors, anchors[:1] * (strides / strides[0])[:, None], atol=0.05)


def test_boxes_alike_need_one_anchor_and_varied_ones_more():
    alike = 8 * np.random.default_rng(0).uniform(0.95, 1.05, (100, 3))
    assert plan(alike).num_anchors == 1
    assert plan(nodules(spread=0.8)).num_anchors > 1
    assert plan(alike, num_anchors=3).num_anchors == 3
    assert "given" in plan(alike, num_anchors=3).reasons["anchors"]


def test_full_resolution_is_a_level_where_small_boxes_are_shorter_than_three_voxels():
    assert plan(nodules(typical=3.6, spread=0.01)).levels[0] == 1
    tiny = plan(nodules(typical=2.6, spread=0.01))
    assert tiny.levels[0] == 0
    assert tiny.strides[0] == (1, 1, 1)
    assert "no finer level" not in tiny.reasons["levels"]
    dots = plan(nodules(typical=1.2, spread=0.01))
    assert dots.levels[0] == 0
    assert "less than 1.5, but there is no finer level" in dots.reasons["levels"]


def test_a_patch_that_cuts_boxes_says_so():
    sizes = np.concatenate([nodules(90), np.full((10, 3), 50.0)])
    enough = plan(sizes)
    assert enough.cut == 0
    assert "holds every box" in enough.reasons["holding_patch"]
    small = plan(sizes, patch_size=(48, 64, 64))
    assert small.cut == pytest.approx(0.1)
    assert small.holding_patch == (64, 64, 64)
    assert "cuts 10.0%" in small.reasons["holding_patch"]
    assert "[64, 64, 64]" in small.reasons["holding_patch"]


def test_pictures_have_two_axes():
    planned = plan(
        nodules(axes=2, typical=80),
        spacing=(1, 1),
        patch_size=(256, 256),
        strides=((1, 1), (2, 2), (2, 2), (2, 2), (2, 2)),
    )
    assert len(planned.strides[0]) == len(planned.anchors[0][0]) == 2
    assert planned.levels == (4,)


@pytest.mark.parametrize(
    "sizes",
    [
        np.zeros((0, 3)),
        np.ones((4, 2)),
        np.array([[3.0, 4, 0]]),
        np.array([[3.0, 4, np.nan]]),
        np.array([[3.0, 4, -1]]),
    ],
)
def test_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(InputError):
        plan(sizes)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="levels"):
        plan(nodules(), levels=[2, 7])
    with pytest.raises(InputError, match="anchor"):
        plan(nodules(), num_anchors=0)
