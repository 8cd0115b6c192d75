"""From what was annotated in a case to boxes, and to a mask of the objects' classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from medseg.data.annotation import Annotation
from medseg.data.case import Case, LabelVolume, Volume
from medseg.data.prepare.instance_maps import NumberedObjects, read_instances
from medseg.data.prepare.object_checks import Checked, check_boxes
from medseg.data.prepare.reading import label_volume, load_mask
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.box_iou import box_iou
from medseg.geometry.boxes import Boxes
from medseg.geometry.ellipsoids import ellipsoid_distance
from medseg.geometry.objects_in_masks import Instances, of_components
from medseg.labels import IGNORED, LabelScheme
from medseg.objects import IGNORED_OBJECT, ObjectRule

# Boxes that are held against their neighbours at once.
_BLOCK = 256


class CaseObjects(NamedTuple):
    """The objects of one case, on its image's own grid.

    Attributes:
        boxes: around each; classes are indices into `LabelScheme.foreground`, or `IGNORED_OBJECT`
            of what need not be found, and is not wrong to be found.
        label: label indices, as of a segmentation. Where only boxes are known their inscribed
            ellipsoids are painted, large ones first.
        dtype: type of the mask's values in its file; ``boxes`` where there is none.
        notes: what was odd, in words.
    """

    boxes: Boxes
    label: LabelVolume
    dtype: str = "boxes"
    notes: tuple[str, ...] = ()


def read_objects(
    case: Case,
    volume: Volume,
    rule: ObjectRule,
    labels: LabelScheme,
    *,
    value_map: Mapping[int, int] | None = None,
) -> CaseObjects:
    """Read a case's mask, instance map or boxes as the rule says.

    Args:
        case: with a ``label``, or an ``annotation`` where the rule says ``boxes``.
        volume: the case's image.
        rule: what is one object.
        labels: the classes.
        value_map: file value -> label value, of masks.

    Raises:
        InputError: a file cannot be read, or does not fit the image; an instance has no class; or
            there is no object where one must be.
    """
    if rule.source == "boxes":
        found = of_annotation(case.annotation or Annotation("voxels"), volume.grid, labels)
    elif case.label is None:
        raise InputError("the case has no mask", file=case.images[0])
    elif rule.source == "instances":
        numbered = read_instances(
            case, rule, value_map=value_map, like=volume.grid, like_file=case.images[0]
        )
        found = of_instance_map(numbered, volume.grid, labels)
    else:
        raw = load_mask(case.label, value_map)
        label = label_volume(raw, case.label, labels, value_map=value_map, like=volume)
        found = CaseObjects(of_mask(label.data, rule, labels), label, raw.dtype, raw.notes)
    if rule.empty == "error" and not (found.boxes.classes >= 0).any():
        raise InputError(
            "the case has no object",
            file=case.label or (case.annotation and case.annotation.file) or case.images[0],
            expected="at least one in every image",
            found=f"none in {case.id}",
            remedy="annotate it, leave it out, or say that images without objects are negatives: "
            "detection.empty=negative",
        )
    return found


def of_mask(label: np.ndarray, rule: ObjectRule, labels: LabelScheme) -> Boxes:
    """Find the components of each class or region in label indices ``(*S)``.

    Those of the ignore label stand at the end, as `IGNORED_OBJECT`.
    """
    found = [parts.corners for parts in components(label, rule, labels)]
    classes = list(range(len(found)))
    if labels.ignore is not None:
        found.append(_parts(label == IGNORED, rule).corners)
        classes.append(IGNORED_OBJECT)
    return Boxes(np.concatenate(found), np.repeat(classes, list(map(len, found))))


def components(label: np.ndarray, rule: ObjectRule, labels: LabelScheme) -> Iterator[Instances]:
    """Yield the components of each class or region in label indices ``(*S)``, in their order."""
    for indices in labels.region_indices():
        yield _parts(np.isin(label, indices), rule)


def _parts(inside: np.ndarray, rule: ObjectRule) -> Instances:
    return of_components(inside, (True,), connectivity=rule.connectivity, smallest=rule.smallest)


def of_instance_map(found: NumberedObjects, grid: Grid, labels: LabelScheme) -> CaseObjects:
    """Take each number of a map as an object, and paint it as its class."""
    index = np.append(0, _indices(labels)[found.classes]).astype(np.uint8)
    label = LabelVolume(index[found.map], grid)
    return CaseObjects(Boxes(found.corners, found.classes), label, found.dtype, found.notes)


def of_annotation(annotation: Annotation, grid: Grid, labels: LabelScheme) -> CaseObjects:
    """Take what was drawn as it is, as far as it lies in the image, and paint ellipsoids of it.

    Raises:
        InputError: a box cannot be of this image, see `check_boxes`.
    """
    every, notes = drawn_boxes(annotation, grid, labels)
    counted = every[every.classes != IGNORED_OBJECT]
    painted = LabelVolume(paint(counted, grid.shape, _indices(labels)), grid)
    return CaseObjects(every, painted, notes=notes)


def drawn_boxes(annotation: Annotation, grid: Grid, labels: LabelScheme) -> Checked:
    """Take what was drawn as it is, as far as it lies in the image; raises as `check_boxes`.

    What is ignored stands at the end, as `IGNORED_OBJECT`.
    """
    boxes, notes = check_boxes(
        annotation.boxes(grid), grid, annotation.file, classes=labels.foreground
    )
    passed = annotation.ignored_boxes(grid).clip(grid.shape)
    passed = passed[(passed.sizes > 0).all(axis=1)]
    every = Boxes(
        np.concatenate([boxes.corners, passed.corners]),
        np.concatenate([boxes.classes, np.full(len(passed), IGNORED_OBJECT)]),
    )
    return Checked(every, notes)


def sizes_of(
    boxes: Boxes, spacing: Sequence[float], axes: Sequence[int]
) -> tuple[tuple[float, ...], ...]:
    """Give class and extents in mm of each object that is to be found.

    Args:
        boxes: on an image's grid.
        spacing: of the grid.
        axes: in which order the extents are wanted.
    """
    boxes = boxes[boxes.classes >= 0]
    extents = (boxes.sizes * np.asarray(spacing))[:, list(axes)]
    pairs = zip(boxes.classes.tolist(), extents.tolist(), strict=True)
    return tuple((label, *mm) for label, mm in pairs)


def overlaps_of(boxes: Boxes) -> tuple[float, ...]:
    """Give the largest IoU with another of its class of each object that is to be found."""
    boxes = boxes[boxes.classes >= 0]
    best = np.zeros(len(boxes))
    for kind in np.unique(boxes.classes):
        own = boxes.classes == kind
        best[own] = _largest_overlaps(boxes.corners[own])
    return tuple(round(float(iou), 4) for iou in best)


def _largest_overlaps(corners: np.ndarray) -> np.ndarray:
    """Give the largest IoU of each box ``(N, 2n)`` with another; a mask of noise has 100,000."""
    order = np.argsort(corners[:, 0], kind="stable")
    corners, n = corners[order], corners.shape[1] // 2
    best = np.zeros(len(corners))
    for first in range(0, len(corners), _BLOCK):
        some = np.arange(first, min(first + _BLOCK, len(corners)))
        reach = corners[some, n].max()
        near = np.flatnonzero((corners[:, 0] < reach) & (corners[:, n] > corners[first, 0]))
        iou = box_iou(corners[some], corners[near])
        iou[some[:, None] == near[None, :]] = 0
        best[some] = iou.max(axis=1, initial=0)
    out = np.zeros(len(corners))
    out[order] = best
    return out


def paint(boxes: Boxes, shape: Sequence[int], indices: np.ndarray) -> np.ndarray:
    """Return a map uint8 ``(*S)`` with the ellipsoid inside each box, small ones over large.

    Args:
        boxes: on the grid of the map; may reach beyond it.
        shape: of the map.
        indices: label index of each class.
    """
    out = np.zeros(tuple(shape), dtype=np.uint8)
    for number in np.argsort(-boxes.sizes.prod(axis=1), kind="stable"):
        lower, upper = boxes.lower[number], boxes.upper[number]
        first = np.maximum(np.floor(lower), 0).astype(int)
        stop = np.minimum(np.ceil(upper), shape).astype(int)
        if (first >= stop).any():
            continue
        place = tuple(slice(a, b) for a, b in zip(first, stop, strict=True))
        way = ellipsoid_distance(stop - first, boxes.corners[number] - np.tile(first, 2))
        out[place][way <= 1] = indices[boxes.classes[number]]
    return out


def _indices(labels: LabelScheme) -> np.ndarray:
    """Give the label index to paint for each class: of a region, that of its first value."""
    return np.array([indices[0] for indices in labels.region_indices()])
