"""From a mask and the boxes in it to instances: boxes say which objects, the mask how they look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from medseg.errors import InputError
from medseg.geometry.boxes import Boxes, voxels_of
from medseg.geometry.ellipsoids import ellipsoid_distance
from medseg.geometry.objects_in_masks import of_instances
from medseg.inference.detection.splitting import split

# The part of a component that is "most" of it.
_MOST = 0.5


class InstanceMap(NamedTuple):
    """Objects with outlines, in the order of the boxes that found them.

    Attributes:
        map: int32 ``(*S)``: 0 background, ``i + 1`` object ``i``.
        objects: the boxes around the outlines, with classes and scores.
        sources: int64 ``(N,)``, number of the detected box; -1 for a piece that was kept without.
        unmasked: int64, numbers of the detected boxes for which the mask has nothing.
        pieces: connected components of the mask that are no box's.
    """

    map: np.ndarray
    objects: Boxes
    sources: np.ndarray
    unmasked: np.ndarray
    pieces: int


def instances_of(
    mask: np.ndarray,
    boxes: Boxes,
    *,
    members: Sequence[Sequence[int]] | None = None,
    without_mask: Literal["drop", "ellipsoid"] = "drop",
    without_box: Literal["drop", "keep"] = "drop",
    heat: np.ndarray | None = None,
    least: float = 0.1,
    connectivity: int | None = None,
) -> InstanceMap:
    """Give every detected box its part of a mask.

    A box's object is the connected component of its class of which most voxels lie in it, if it
    reaches through ``least`` of the box: one that only grazes a corner is another's. A component
    that is the object of several boxes is split among them (see
    `medseg.inference.detection.splitting`). One that is no box's object, a fragment or a speck in a
    large box, goes whole to the box that holds most of it, if any holds half.

    Args:
        mask: label indices ``(*S)``.
        boxes: in voxel edges of the mask. A surer one goes first where two claim one voxel, so
            choose before what counts as found (`Detections.at_least`).
        members: per class the label indices that it has in the mask
            (`LabelScheme.region_indices`); ``None``: class ``k`` has index ``k + 1``.
        without_mask: what becomes of a box whose object has no voxel: it goes, or its inscribed
            ellipsoid stands for it, where no other object is.
        without_box: what becomes of a component that is no box's: it goes, or stays as an object
            with a score of 0.
        heat: maps of centres per class ``(K, *S)`` on the mask's grid; ``None``: objects are split
            by the distance to the boxes' centres.
        least: part of a box, as a volume, that the box around what it holds of a component must
            fill.
        connectivity: of components: how many axes neighbouring voxels may differ in, from 1
            (faces) on; ``None``: any.

    Raises:
        InputError: mask and boxes differ in their number of axes, or classes share label indices:
            overlapping regions have no common instance map.
    """
    if mask.ndim != boxes.ndim:
        raise InputError(
            "the mask has another number of axes than the boxes",
            expected=f"{boxes.ndim} axes",
            found=f"a mask of shape {mask.shape}",
        )
    scores = np.ones(len(boxes)) if boxes.scores is None else boxes.scores
    total = np.zeros(mask.shape, dtype=np.int32)
    kept: list[int] = []
    pieces = 0
    for label, indices in _indices(mask, boxes, members):
        mine = np.flatnonzero(boxes.classes == label)
        mine = mine[np.argsort(-scores[mine], kind="stable")]
        owners, parts = _owned(
            np.isin(mask, indices),
            boxes.corners[mine],
            heat=None if heat is None else heat[label],
            least=least,
            connectivity=connectivity,
        )
        owned = owners > 0
        total[owned] = mine[owners[owned] - 1] + 1
        rest = (parts > 0) & ~owned
        left, numbers = np.unique(parts[rest], return_inverse=True)
        pieces += len(left)
        if without_box == "keep":
            total[rest] = len(boxes) + len(kept) + 1 + numbers
            kept += [label] * len(left)
    unmasked = np.setdiff1d(np.arange(len(boxes)), total[total > 0] - 1)
    if without_mask == "ellipsoid":
        for number in unmasked[np.argsort(-scores[unmasked], kind="stable")]:
            _paint(total, boxes.corners[number], int(number) + 1)
    found = of_instances(total)
    numbers = found.values - 1
    classes = np.append(boxes.classes, np.array(kept, dtype=np.int64))[numbers]
    objects = Boxes(found.corners, classes, np.append(scores, np.zeros(len(kept)))[numbers])
    sources = np.where(numbers < len(boxes), numbers, -1)
    return InstanceMap(found.map, objects, sources, unmasked, pieces)


def _indices(
    mask: np.ndarray, boxes: Boxes, members: Sequence[Sequence[int]] | None
) -> Iterator[tuple[int, Sequence[int]]]:
    """Yield each class and its label indices."""
    if members is None:
        values = np.unique(mask)
        classes = np.union1d(values[values > 0].astype(np.int64) - 1, boxes.classes)
        yield from ((int(label), [int(label) + 1]) for label in classes)
        return
    every = [index for indices in members for index in indices]
    if len(set(every)) < len(every):
        raise InputError(
            "classes that overlap cannot be in one instance map",
            expected="label indices that are of one class each",
            found=str([list(indices) for indices in members]),
            remedy="make the instances of one region at a time",
        )
    yield from enumerate(members)


def _owned(
    inside: np.ndarray,
    corners: np.ndarray,
    *,
    heat: np.ndarray | None,
    least: float,
    connectivity: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 + the number of the box that each voxel of a class is of, and the components."""
    from scipy.ndimage import find_objects, generate_binary_structure, label

    touching = generate_binary_structure(inside.ndim, connectivity or inside.ndim)
    parts, count = label(inside, structure=touching)
    claims = _claims(parts, count, corners, least=least)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    owner = np.where(claims.held >= _MOST * sizes, claims.holders + 1, 0).astype(np.int32)
    claimants = np.flatnonzero(claims.objects)
    owner[claims.objects[claimants]] = claimants + 1
    owner[0] = 0
    owners = owner[parts]
    shared = np.flatnonzero(np.bincount(claims.objects[claimants]) > 1)
    places = find_objects(parts) if len(shared) else []
    for number in shared:
        place = places[number - 1]
        here = parts[place] == number
        sharing = np.flatnonzero(claims.objects == number)
        start = np.tile([part.start for part in place], 2)
        cut = split(here, corners[sharing] - start, heat=None if heat is None else heat[place])
        owners[place][here] = sharing[cut[here] - 1] + 1
    return owners, parts


class _Claims(NamedTuple):
    """What ``N`` boxes hold of ``M`` components, which are numbered from 1.

    Attributes:
        objects: ``(N,)``, the component that is each box's object; 0: none is.
        holders: ``(M + 1,)``, the first of the boxes that hold most of each component.
        held: ``(M + 1,)``, how many of its voxels that box holds.
    """

    objects: np.ndarray
    holders: np.ndarray
    held: np.ndarray


def _claims(parts: np.ndarray, count: int, corners: np.ndarray, *, least: float) -> _Claims:
    objects = np.zeros(len(corners), dtype=np.int64)
    holders, held = np.zeros((2, count + 1), dtype=np.int64)
    for number, box in enumerate(corners):
        inside = parts[voxels_of(box, parts.shape)]
        if not inside.any():
            continue
        # Only the components that the box holds: a mask may have very many specks.
        seen = of_instances(inside)
        more = seen.sizes > held[seen.values]
        held[seen.values[more]], holders[seen.values[more]] = seen.sizes[more], number
        reach = Boxes(seen.corners).sizes.prod(axis=1) / inside.size
        claimed = np.flatnonzero(reach >= least)
        if len(claimed):
            objects[number] = seen.values[claimed[seen.sizes[claimed].argmax()]]
    return _Claims(objects, holders, held)


def _paint(total: np.ndarray, box: np.ndarray, value: int) -> None:
    """Write the ellipsoid in a box where there is nothing; at least the voxel in its middle."""
    place = voxels_of(box, total.shape)
    here = total[place]
    start = np.tile([part.start for part in place], 2)
    way = ellipsoid_distance(here.shape, box - start)
    if here.size:
        here[(here == 0) & ((way < 1) | (way == way.min()))] = value
