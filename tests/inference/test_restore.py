from __future__ import annotations

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medseg.data.case import LabelVolume, Volume
from medseg.data.prepare.preprocess import preprocess
from medseg.data.prepare.steps import Resample
from medseg.geometry import Grid
from medseg.inference.decode import activate
from medseg.inference.restore import logit_channels, restore, restore_probabilities
from medseg.labels import LabelScheme
from medseg.planning.plan import Normalisation, PreprocessingPlan

CLASSES = LabelScheme({"background": 0, "a": 1, "b": 2})
REGIONS = LabelScheme(
    {"background": 0, "NCR": 1, "ED": 2, "ET": 4},
    {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)},
)
FLIP = np.diag([-1.0, -1.0, 1.0])


def plan(spacing, *, crop="nonzero") -> PreprocessingPlan:
    return PreprocessingPlan("RAS", crop, spacing, (Normalisation("none"),))


def oblique(shape, spacing, axes=(2, 0, 1), seed=0) -> Grid:
    """A grid with permuted, partly flipped axes, tilted by some degrees."""
    rng = np.random.default_rng(seed)
    tilt, _ = np.linalg.qr(np.eye(3) + 0.15 * rng.normal(size=(3, 3)))
    tilt *= np.sign(np.diag(tilt))
    turn = np.eye(3)[:, list(axes)] * [1, -1, -1]
    affine = np.eye(4)
    affine[:3, :3] = tilt @ turn * spacing
    affine[:3, 3] = rng.normal(size=3) * 40
    return Grid(shape, affine)


def blob_volume(grid: Grid) -> Volume:
    data = np.zeros((1, *grid.shape), dtype=np.float32)
    inner = tuple(slice(n // 5, n - n // 6) for n in grid.shape)
    data[(0, *inner)] = 1 + np.random.default_rng(1).random(data[(0, *inner)].shape)
    return Volume(data, grid)


def to_sitk(array: np.ndarray, grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing(grid.spacing)
    image.SetDirection((FLIP @ grid.affine[:3, :3] / grid.spacing).ravel().tolist())
    image.SetOrigin((FLIP @ grid.affine[:3, 3]).tolist())
    return image


def resampled(array, grid, like, *, kind, outside) -> np.ndarray:
    out = sitk.Resample(
        to_sitk(array, grid),
        to_sitk(np.zeros(like.shape, np.float32), like),
        sitk.Transform(),
        kind,
        outside,
    )
    return sitk.GetArrayFromImage(out).T


def smooth_logits(outputs, shape, seed=3) -> torch.Tensor:
    coarse = torch.randn(1, outputs, 4, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, shape, mode="trilinear")[0]


def expected(stack: np.ndarray, scheme: LabelScheme) -> tuple[np.ndarray, np.ndarray]:
    """Decode by plain NumPy; also where the decision is clear enough to be compared."""
    if scheme.regions:
        index = np.zeros(stack.shape[1:], dtype=np.uint8)
        for channel, value in zip(stack, scheme.order, strict=True):
            index[channel > 0] = list(scheme.values.values()).index(value)
        return index, (np.abs(stack) > 1e-4).all(0)
    two = np.sort(stack, axis=0)[-2:]
    return stack.argmax(0), two[1] - two[0] > 1e-4


@pytest.mark.parametrize("scheme", [CLASSES, REGIONS], ids=["classes", "regions"])
@pytest.mark.parametrize(
    ("spacing", "target"),
    [((1.0, 1.5, 2.0), (1.3, 1.3, 1.3)), ((0.7, 0.8, 1.1), (1.5, 2.0, 1.0))],
)
def test_the_way_back_is_simpleitks_resampling_in_world_space(scheme, spacing, target):
    grid = oblique((22, 25, 19), spacing)
    prepared = preprocess(blob_volume(grid), plan(target))
    logits = smooth_logits(scheme.num_outputs, prepared.grid.shape)
    outside = [-9.0] * scheme.num_outputs
    if not scheme.regions:
        outside[0] = 9.0
    stack = np.stack(
        [
            resampled(x.numpy(), prepared.grid, grid, kind=sitk.sitkLinear, outside=o)
            for x, o in zip(logits, outside, strict=True)
        ]
    )
    index, clear = expected(stack, scheme)
    ours = restore(logits, prepared.record, scheme)
    assert ours.dtype == np.uint8
    assert ours.shape == grid.shape
    assert clear.mean() > 0.99
    assert len(np.unique(ours)) == len(scheme.values)
    assert np.array_equal(ours[clear], index[clear])


def test_a_coarse_axis_takes_the_nearest_slice():
    grid = Grid.from_spacing((16, 18, 6), (1.0, 1.0, 5.0))
    prepared = preprocess(blob_volume(grid), plan((1.4, 1.4, 4.0), crop="none"))
    assert prepared.record[-1].coarse_axis == 2
    logits = smooth_logits(3, prepared.grid.shape)
    slices = Grid(
        (*prepared.grid.shape[:2], 6), prepared.grid.resample((*prepared.grid.shape[:2], 6)).affine
    )
    stack = []
    for channel in logits.numpy():
        nearest = resampled(
            channel, prepared.grid, slices, kind=sitk.sitkNearestNeighbor, outside=0
        )
        stack.append(resampled(nearest, slices, grid, kind=sitk.sitkLinear, outside=0))
    index, clear = expected(np.stack(stack), CLASSES)
    ours = restore(logits, prepared.record, CLASSES)
    assert np.array_equal(ours[clear], index[clear])


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_without_resampling_the_label_comes_back_exactly(axes):
    grid = oblique((9, 11, 7), (1.0, 1.0, 1.0), axes)
    volume = blob_volume(grid)
    label = np.random.default_rng(2).integers(0, 3, grid.shape).astype(np.uint8)
    label[volume.data[0] == 0] = 0
    prepared = preprocess(volume, plan((1.0, 1.0, 1.0)), LabelVolume(label, grid))
    logits = torch.nn.functional.one_hot(torch.from_numpy(prepared.label).long(), 3)
    logits = logits.movedim(-1, 0).float()
    assert np.array_equal(restore(logits, prepared.record, CLASSES), label)


@pytest.mark.parametrize("scheme", [CLASSES, REGIONS], ids=["classes", "regions"])
def test_decoding_the_probabilities_gives_the_mask(scheme):
    grid = oblique((14, 12, 13), (1.0, 1.5, 2.0))
    prepared = preprocess(blob_volume(grid), plan((1.2, 1.2, 1.2)))
    logits = smooth_logits(scheme.num_outputs, prepared.grid.shape)
    likely = restore_probabilities(logits, prepared.record, scheme)
    assert likely.shape == (scheme.num_outputs, *grid.shape)
    if scheme.regions:
        index, clear = expected(likely - 0.5, scheme)
    else:
        index, clear = expected(likely, scheme)
        assert np.allclose(likely.sum(0), 1, atol=1e-5)
    assert np.array_equal(restore(logits, prepared.record, scheme)[clear], index[clear])


def test_what_was_cropped_away_is_background_for_certain():
    grid = Grid.from_spacing((10, 10, 10))
    prepared = preprocess(blob_volume(grid), plan((1.0, 1.0, 1.0)))
    logits = torch.stack([torch.full(prepared.grid.shape, v) for v in (-5.0, 5.0, 0.0)])
    index = restore(logits, prepared.record, CLASSES)
    assert index[0].max() == 0
    assert index[5, 5, 5] == 1
    likely = restore_probabilities(logits, prepared.record, CLASSES)
    assert likely[:, 0, 0, 0].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("scheme", [CLASSES, REGIONS], ids=["classes", "regions"])
def test_logits_come_back_as_those_whose_probabilities_come_back(scheme):
    grid = oblique((14, 12, 13), (1.0, 1.5, 2.0))
    prepared = preprocess(blob_volume(grid), plan((1.2, 1.2, 1.2)))
    logits = smooth_logits(scheme.num_outputs, prepared.grid.shape)
    ours = torch.from_numpy(np.stack(list(logit_channels(logits, prepared.record, scheme))))
    likely = restore_probabilities(logits, prepared.record, scheme)
    # Also where the crop took something away: there, but for the last digit of a probability.
    assert np.allclose(activate(ours, scheme).numpy(), likely, atol=1e-5)
    assert torch.isfinite(ours).all() and float(ours.max()) <= 16.0


def test_two_dimensions_are_restored_too():
    grid = Grid.from_spacing((20, 30), (0.5, 0.5))
    volume = Volume(np.ones((1, 20, 30), np.float32), grid)
    flat = PreprocessingPlan(None, "none", (1.0, 1.0), (Normalisation("none"),))
    prepared = preprocess(volume, flat)
    logits = torch.zeros(3, *prepared.grid.shape)
    logits[0] = 0.5
    logits[2, :5] = 1
    index = restore(logits, prepared.record, CLASSES)
    assert index.shape == (20, 30)
    assert (index[:10] == 2).all()
    assert (index[10:] == 0).all()


def test_memory_stays_at_a_few_channels_for_many_classes():
    import tracemalloc

    outputs, shape = 60, (48, 48, 48)
    scheme = LabelScheme({f"class{i}": i for i in range(outputs)})
    grid = Grid.from_spacing(shape)
    record = (Resample(grid, (24, 24, 24)),)
    logits = torch.randn(outputs, 24, 24, 24)
    channel = 4 * int(np.prod(shape))
    restore(logits, record, scheme)
    tracemalloc.start()
    restore(logits, record, scheme)
    # NumPy's memory; torch holds the best channel so far and the indices beside it.
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * channel


def test_logits_of_another_grid_or_scheme_are_refused():
    record = (Resample(Grid.from_spacing((8, 8, 8)), (4, 4, 4)),)
    with pytest.raises(ValueError, match="do not lie on the grid"):
        restore(torch.zeros(3, 8, 8, 8), record, CLASSES)
    with pytest.raises(ValueError, match="2 channels of logits for 3 outputs"):
        restore(torch.zeros(2, 4, 4, 4), record, CLASSES)
