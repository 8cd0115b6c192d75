from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medseg.data.feed import MemoryCase, SegmentationDataModule
from medseg.data.feed.augment import Affine, Elastic, Mirror, QuarterTurn
from medseg.data.feed.augment.compose import Compose
from medseg.data.feed.augment.warp import Field, Warp
from medseg.data.feed.batch import Batch, collate
from medseg.data.feed.boxes import shift_boxes, visible_boxes, warp_boxes
from medseg.data.feed.dataset import PatchDataset, VolumeDataset
from medseg.data.prepare.objects import paint
from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.geometry.objects_in_masks import of_instances
from medseg.objects import IGNORED_OBJECT

SHAPES = {2: (64, 64), 3: (40, 40, 40)}


def batch_of(boxes: Boxes, shape, *, painted: bool) -> Batch:
    """Make one sample whose label numbers the objects: ellipsoids, or whole boxes."""
    label = np.zeros(shape, dtype=np.uint8)
    if painted:
        for number in range(len(boxes)):
            label[paint(boxes[[number]], shape, np.array([1] * 9)) > 0] = number + 1
    else:
        for number, (lower, upper) in enumerate(zip(boxes.lower, boxes.upper, strict=True)):
            label[tuple(slice(int(a), int(b)) for a, b in zip(lower, upper, strict=True))] = (
                number + 1
            )
    image = torch.zeros(1, 1, *shape)
    seeds = torch.tensor([3])
    return Batch(image, torch.from_numpy(label)[None, None], seeds, ["a"], boxes=[boxes])


BOXES = {
    2: Boxes([[10, 12, 26, 22], [36, 30, 46, 52]], [0, 1]),
    3: Boxes([[6, 8, 10, 18, 15, 20], [22, 20, 18, 31, 32, 34]], [0, 1]),
}


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("transform", [Mirror(p=1.0), QuarterTurn(p=1.0)])
def test_mirrors_and_quarter_turns_move_boxes_and_masks_alike(ndim, seed, transform):
    batch = batch_of(BOXES[ndim], SHAPES[ndim], painted=False)
    batch = batch._replace(seeds=torch.tensor([seed]))
    done = Compose([transform])(batch)
    found = of_instances(done.label[0, 0].numpy())
    assert np.allclose(done.boxes[0].corners, found.corners)
    assert done.boxes[0].classes.tolist() == [0, 1]


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_turned_and_scaled_ellipsoids_stay_in_their_boxes(ndim, seed):
    batch = batch_of(BOXES[ndim], SHAPES[ndim], painted=True)
    batch = batch._replace(seeds=torch.tensor([seed]))
    done = Compose([Affine(rotation=30, scale=(0.8, 1.2), p_rotation=1.0, p_scale=1.0)])(batch)
    found = of_instances(done.label[0, 0].numpy())
    moved = visible_boxes(done.boxes[0], SHAPES[ndim], least=0.0)
    assert len(found.corners) == len(moved) == 2
    # Voxels are painted where their centre is inside, so a mask is up to a voxel smaller.
    assert np.abs(moved.corners - found.corners).max() <= 1.6
    assert np.abs(moved.corners - found.corners).mean() <= 0.7


def test_a_transform_alone_moves_boxes_as_in_a_list():
    batch = batch_of(BOXES[3], SHAPES[3], painted=False)
    alone = Mirror(p=1.0)(batch)
    assert np.allclose(alone.boxes[0].corners, of_instances(alone.label[0, 0].numpy()).corners)


def test_a_transform_of_another_kind_moves_boxes_itself_in_a_list():
    batch = batch_of(BOXES[3], SHAPES[3], painted=False)
    done = Compose([Compose([Mirror(p=1.0)])])(batch)
    assert not torch.equal(done.label, batch.label)
    assert np.allclose(done.boxes[0].corners, of_instances(done.label[0, 0].numpy()).corners)


def test_an_elastic_field_is_refused():
    warp = Warp(np.eye(3, 4), Field(np.zeros((3, 4, 4, 4)), (9.0,) * 3))
    with pytest.raises(InputError, match="elastic"):
        warp_boxes(BOXES[3], warp, SHAPES[3])
    batch = batch_of(BOXES[3], SHAPES[3], painted=False)
    with pytest.raises(InputError, match="elastic"):
        Compose([Elastic(p=1.0)])(batch)


def test_a_box_cut_by_the_border_keeps_what_is_seen_of_it():
    boxes = Boxes([[-2, 0, 4, 4], [-3, 0, 1, 4], [8, 8, 9, 9], [2, 2, 4, 4]], [0, 1, 2, 1])
    seen = visible_boxes(boxes, (8, 8), least=0.5)
    assert seen.corners.tolist() == [[0, 0, 4, 4], [0, 0, 1, 4], [2, 2, 4, 4]]
    assert seen.classes.tolist() == [0, IGNORED_OBJECT, 1]


@pytest.mark.parametrize("ndim", [2, 3])
def test_no_boxes_go_through_the_feed(ndim):
    none, shape = Boxes.none(ndim), SHAPES[ndim]
    assert len(visible_boxes(shift_boxes(none, (3,) * ndim), shape)) == 0
    assert len(warp_boxes(none, Warp(np.eye(ndim, ndim + 1)), shape)) == 0


def case(number: int, *, boxes: Boxes | None = BOXES[3]) -> MemoryCase:
    label = paint(BOXES[3], SHAPES[3], np.array([1, 2]))
    image = np.random.default_rng(number).normal(size=(1, *SHAPES[3]))
    return MemoryCase(f"c{number}", image, label, boxes=boxes)


def test_a_patch_brings_its_boxes_where_its_voxels_are():
    patches = PatchDataset([case(0)], patch_size=(16, 16, 16), batch_size=2, foreground_fraction=1)
    for number in range(8):
        sample = patches[number]
        found = of_instances(sample.label[0].numpy())
        seen = visible_boxes(sample.boxes, (16, 16, 16), least=0.0)
        assert set(found.values - 1) <= set(seen.classes.tolist())
        for corners, value in zip(found.corners, found.values, strict=True):
            mine = seen.corners[seen.classes == value - 1][0]
            assert (corners[:3] >= mine[:3]).all() and (corners[3:] <= mine[3:]).all()
    batch = patches.batch([0, 1])
    assert [b.corners.tolist() for b in batch.boxes] == [
        patches[n].boxes.corners.tolist() for n in (0, 1)
    ]


def test_boxes_alone_are_ellipsoids_in_the_label():
    boxes = Boxes(BOXES[3].corners, [1, IGNORED_OBJECT])
    alone = MemoryCase("a", np.zeros((1, *SHAPES[3])), boxes=boxes)
    assert np.array_equal(alone.label, paint(boxes[:1], SHAPES[3], np.array([1, 2])))
    assert alone.label.max() == 2 and MemoryCase("b", alone.image).label is None


def test_a_whole_volume_brings_all_boxes():
    sample = VolumeDataset([case(0)])[0]
    assert sample.boxes.corners.tolist() == BOXES[3].corners.tolist()


def test_cases_without_boxes_make_batches_without():
    plain = VolumeDataset([case(0, boxes=None)])[0]
    assert plain.boxes is None and collate([plain]).boxes is None


def test_training_batches_hold_what_is_seen_in_the_patch():
    data = SegmentationDataModule(
        [case(0), case(1)],
        patch_size=(24, 24, 24),
        batch_size=2,
        cache="ram",
        num_workers=0,
        augmentation=[Mirror(), Affine(rotation=20)],
    )
    data.trainer = SimpleNamespace(training=True)
    batch = data.train_set.batch([0, 1])
    done = data.on_after_batch_transfer(batch, 0)
    for boxes in done.boxes:
        assert (boxes.lower >= 0).all() and (boxes.upper <= 24).all()
        assert (boxes.sizes > 0).all()


def test_nothing_has_to_be_imported_before_it():
    """Transforms move boxes, and boxes know what a transform is."""
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", "import medseg.data.feed.boxes"], cwd=root, check=True)
