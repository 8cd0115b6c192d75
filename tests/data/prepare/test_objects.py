from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medseg.data.annotation import Annotation
from medseg.data.case import Case, Dataset, Volume
from medseg.data.prepare.cache import load, prepare_dataset
from medseg.data.prepare.objects import overlaps_of, paint, read_objects, sizes_of
from medseg.data.prepare.reference_boxes import reference_boxes
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.box_iou import box_iou
from medseg.geometry.boxes import Boxes
from medseg.labels import LabelScheme
from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.hits import NEITHER, CentreHit, IouHit
from medseg.objects import IGNORED_OBJECT, ObjectRule
from medseg.planning.plan import Normalisation, PreprocessingPlan

LABELS = LabelScheme({"nodule": 1, "mass": 2})
SHAPE = (12, 14, 10)
AFFINE = np.diag([-1.0, 1.0, 2.0, 1.0])
BOXES = np.array([[2, 3, 4, 5, 8, 6], [7, 1, 2, 9, 4, 3]])


def blocks(values=(1, 2)) -> np.ndarray:
    out = np.zeros(SHAPE, dtype=np.uint8)
    for value, (a, b, c, d, e, f) in zip(values, BOXES, strict=True):
        out[a:d, b:e, c:f] = value
    return out


def case(root: Path, mask: np.ndarray | None = None, **fields) -> Case:
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE), root / "image.nii.gz")
    if mask is not None:
        nib.save(nib.Nifti1Image(mask, AFFINE), root / "mask.nii.gz")
        fields["label"] = root / "mask.nii.gz"
    return Case("one", (root / "image.nii.gz",), **fields)


def volume() -> Volume:
    return Volume(np.ones((1, *SHAPE), np.float32), Grid(SHAPE, AFFINE))


def test_every_component_of_a_class_is_an_object(tmp_path):
    found = read_objects(case(tmp_path, blocks()), volume(), ObjectRule(), LABELS)
    assert found.boxes.corners.tolist() == BOXES.tolist()
    assert found.boxes.classes.tolist() == [0, 1]
    assert (found.label.data == blocks()).all()


def test_the_components_of_overlapping_regions_are_objects_of_each(tmp_path):
    labels = LabelScheme({"rim": 1, "core": 2}, {"whole": (1, 2), "core": (2,)})
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:8, 2:8, 2:8], mask[4:6, 4:6, 4:6] = 1, 2
    found = read_objects(case(tmp_path, mask), volume(), ObjectRule(), labels)
    assert found.boxes.corners.tolist() == [[2, 2, 2, 8, 8, 8], [4, 4, 4, 6, 6, 6]]
    assert found.boxes.classes.tolist() == [0, 1]


SEEN = LabelScheme({"nodule": 1, "mass": 2}, ignore=9)


def test_every_component_of_the_ignore_label_is_neither_object_nor_background(tmp_path):
    mask = blocks((9, 1))
    mask[0, 0, 0] = 9
    one = case(tmp_path, mask)
    found = read_objects(one, volume(), ObjectRule(smallest=2), SEEN)
    assert found.boxes.corners.tolist() == BOXES[::-1].tolist()
    assert found.boxes.classes.tolist() == [0, IGNORED_OBJECT]
    # Of objects alone planning speaks, and the cache carries both to where patches are cut.
    assert [size[0] for size in sizes_of(found.boxes, (1, 1, 2), (0, 1, 2))] == [0]
    cached = prepared(tmp_path, one, ObjectRule(), labels=SEEN).load("one").boxes
    assert cached.classes.tolist() == [0, IGNORED_OBJECT, IGNORED_OBJECT]


def test_an_image_of_ignored_voxels_alone_has_no_object(tmp_path):
    one = case(tmp_path, blocks((9, 9)))
    with pytest.raises(InputError, match="no object"):
        read_objects(one, volume(), ObjectRule(empty="error"), SEEN)


def test_a_box_on_ignored_voxels_is_no_false_positive(tmp_path):
    one = case(tmp_path, blocks((9, 1)))
    data = Dataset("test", tmp_path, (one,), ("MR",), SEEN, objects=ObjectRule())
    true = reference_boxes(one, data, volume().grid)
    preds = Boxes(BOXES, [1, 0], [0.9, 0.8])
    scored = DetectionCase.against(preds, true, classes=2)
    for rule in (IouHit(0.5), CentreHit()):
        assert rule(scored.of_class(1)).matched.tolist() == [NEITHER]
        assert rule(scored.of_class(0)).matched.tolist() == [0]


def test_an_instance_map_names_its_objects_by_value(tmp_path):
    one = case(tmp_path, blocks((9, 4)), instances=((4, 0), (9, 1)))
    found = read_objects(one, volume(), ObjectRule("instances"), LABELS)
    assert found.boxes.corners.tolist() == BOXES[::-1].tolist()
    assert found.boxes.classes.tolist() == [0, 1]
    assert (found.label.data == blocks((2, 1))).all()


def test_an_instance_without_a_class_is_refused_by_name(tmp_path):
    one = case(tmp_path, blocks((9, 4)), instances=((4, 0),))
    with pytest.raises(InputError, match="table lacks") as error:
        read_objects(one, volume(), ObjectRule("instances"), LABELS)
    assert error.value.found == "4, 9" and error.value.file == one.label


def test_small_instances_are_neither_objects_nor_foreground(tmp_path):
    one = case(tmp_path, blocks((9, 4)))
    found = read_objects(one, volume(), ObjectRule("instances", smallest=10), LABELS)
    assert found.boxes.corners.tolist() == BOXES[:1].tolist()
    assert (found.label.data[7:9, 1:4, 2:3] == 0).all()


def test_boxes_without_a_mask_are_painted_as_ellipsoids(tmp_path):
    drawn = Annotation("voxels", tuple(map(tuple, BOXES.tolist())), (0, 1))
    one = case(tmp_path, annotation=drawn)
    found = read_objects(one, volume(), ObjectRule("boxes"), LABELS)
    assert found.boxes.corners.tolist() == BOXES.tolist()
    assert set(np.unique(found.label.data)) == {0, 1, 2}
    for value, corners in ((1, BOXES[0]), (2, BOXES[1])):
        places = np.argwhere(found.label.data == value)
        assert (places.min(0) >= corners[:3]).all() and (places.max(0) < corners[3:]).all()


def test_a_painted_ellipsoid_has_the_volume_of_one():
    boxes = Boxes([[2, 3, 4, 42, 33, 24]])
    painted = paint(boxes, (50, 40, 30), np.array([3]))
    assert set(np.unique(painted)) == {0, 3}
    assert (painted > 0).sum() == pytest.approx(np.pi / 6 * 40 * 30 * 20, rel=0.01)


def test_the_smallest_box_is_painted_and_one_outside_is_not():
    boxes = Boxes([[3.2, 3.2, 3.6, 3.6], [20, 20, 24, 24]])
    painted = paint(boxes, (8, 8), np.array([1]))
    assert np.argwhere(painted).tolist() == [[3, 3]]


def test_an_image_without_objects_is_a_negative_or_was_forgotten(tmp_path):
    one = case(tmp_path, annotation=Annotation("voxels"))
    assert len(read_objects(one, volume(), ObjectRule("boxes"), LABELS).boxes) == 0
    with pytest.raises(InputError, match="no object"):
        read_objects(one, volume(), ObjectRule("boxes", empty="error"), LABELS)


def prepared(root: Path, one: Case, rule: ObjectRule, *, spacing=(1.0, 1.0, 1.0), labels=LABELS):
    data = Dataset("test", root, (one,), ("MR",), labels, objects=rule)
    plan = PreprocessingPlan("RAS", "none", spacing, (Normalisation(),))
    return prepare_dataset(data, plan, root / "cache")


@pytest.mark.parametrize("source", ["components", "boxes"])
def test_the_cache_holds_boxes_on_the_prepared_grid(tmp_path, source):
    drawn = Annotation("voxels", tuple(map(tuple, BOXES.tolist())), (0, 1))
    one = case(tmp_path, blocks(), annotation=drawn)
    index = prepared(tmp_path, one, ObjectRule(source))
    lazy = index.load("one")
    # The first axis runs the other way, the last is sampled twice as finely.
    expected = [[7, 3, 8, 10, 8, 12], [3, 1, 4, 5, 4, 6]]
    for found in (lazy, load(lazy.entry), pickle.loads(pickle.dumps(load(lazy.entry)))):
        assert np.allclose(found.boxes.corners, expected)
        assert found.boxes.classes.tolist() == [0, 1]


def test_a_case_that_is_segmented_has_no_boxes(tmp_path):
    index = prepared(tmp_path, case(tmp_path, blocks()), None)  # type: ignore[arg-type]
    lazy = index.load("one")
    assert lazy.boxes is None and load(lazy.entry).boxes is None


def test_another_rule_or_another_box_makes_another_entry(tmp_path):
    drawn = Annotation("voxels", tuple(map(tuple, BOXES.tolist())), (0, 1))
    one = case(tmp_path, blocks(), annotation=drawn)
    first = prepared(tmp_path, one, ObjectRule("boxes"))
    assert not prepared(tmp_path, one, ObjectRule("boxes")).built
    assert prepared(tmp_path, one, ObjectRule("components")).built
    moved = replace(drawn, objects=((2, 3, 4, 5, 8, 7), drawn.objects[1]))
    assert prepared(tmp_path, replace(one, annotation=moved), ObjectRule("boxes")).built
    assert first.built


def test_damaged_boxes_are_made_anew(tmp_path):
    one = case(tmp_path, blocks())
    index = prepared(tmp_path, one, ObjectRule())
    lazy = index.load("one")
    state = lazy.entry / "case.json"
    state.write_text(state.read_text().replace('"classes": [0, 1]', '"classes": [1, 1]'))
    assert lazy.boxes.classes.tolist() == [0, 1]


@pytest.mark.parametrize(("count", "ndim"), [(0, 3), (1, 2), (700, 2), (700, 3)])
def test_the_largest_overlap_of_each_object_equals_comparing_all(count, ndim):
    rng = np.random.default_rng(count)
    lower = rng.integers(0, 40, (count, ndim))
    corners = np.hstack([lower, lower + rng.integers(1, 12, (count, ndim))]).astype(float)
    boxes = Boxes(corners, rng.integers(-1, 3, count))
    counted = boxes[boxes.classes >= 0]
    iou = box_iou(counted.corners, counted.corners)
    iou *= counted.classes[:, None] == counted.classes[None, :]
    np.fill_diagonal(iou, 0)
    assert overlaps_of(boxes) == tuple(np.round(iou.max(axis=1, initial=0), 4).tolist())


def test_many_objects_take_no_square_of_memory():
    import tracemalloc

    places = np.stack(np.meshgrid(*[np.arange(0.0, 60, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    boxes = Boxes(np.hstack([places, places + 3]), np.zeros(len(places), dtype=np.int64))
    tracemalloc.start()
    try:
        assert set(overlaps_of(boxes)) == {0.0}
        assert tracemalloc.get_traced_memory()[1] < len(boxes) ** 2 * 8 / 4
    finally:
        tracemalloc.stop()
