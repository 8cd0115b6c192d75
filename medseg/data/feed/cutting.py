"""From chosen places to tensors: one sample, or a batch that each voxel is copied into once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from medseg.data.feed.batch import Batch, Sample, Wide, gather, together
from medseg.data.feed.boxes import shift_boxes
from medseg.data.feed.cases import FeedCase, boxes_of, maps_of
from medseg.data.feed.naming import naming
from medseg.data.feed.sampling import copy_patch, view_patch
from medseg.errors import InputError
from medseg.geometry.boxes import Boxes

# What `Compose.margin` is: (seed, (C, *patch)) -> voxels wanted before and after, per axis.
Margin = Callable[[int, Sequence[int]], tuple[tuple[int, int], ...] | None]


class Place(NamedTuple):
    """Where one sample comes from.

    Attributes:
        case: a labelled case.
        start: first voxel of the patch, per axis; negative where the image is smaller.
        seed: of the sample's augmentation.
    """

    case: FeedCase
    start: tuple[int, ...]
    seed: int


def cut_sample(place: Place, patch_size: Sequence[int], *, margin: Margin | None = None) -> Sample:
    """Copy one patch out of its case, and the region around it where ``margin`` wants that."""
    image, label = _empty(place, patch_size)
    wide = _fill(place, image, label, margin=margin)
    return Sample(image, label, place.seed, place.case.id, wide, _boxes(place))


def cut_batch(
    places: Sequence[Place],
    patch_size: Sequence[int],
    *,
    margin: Margin | None = None,
    pin: bool = False,
) -> Batch:
    """Copy patches out of their cases, straight into a batch.

    Args:
        places: one per sample; all cases lie on the same device and have as many channels.
        patch_size: voxels per axis.
        margin: says which samples need the region around their patch too.
        pin: in page-locked memory, from where a GPU copies without waiting.

    Raises:
        InputError: a case has another number of channels.
    """
    with naming(places[0].case.id, "reading"):
        image, label = _empty(places[0], patch_size, lead=(len(places),), pin=pin)
    # A view costs nothing, but a GPU would wait for its copy, and to another process a view travels
    # as the whole case.
    views = not pin and get_worker_info() is None
    wide = []
    for number, place in enumerate(places):
        with naming(place.case.id, "reading"):
            wide.append(
                _fill(place, image[number], label[number], margin=margin, pin=pin, views=views)
            )
    return Batch(
        image=image,
        label=label,
        seeds=torch.tensor([place.seed for place in places], dtype=torch.int64),
        case_ids=[place.case.id for place in places],
        wide=gather(wide),
        boxes=together([_boxes(place) for place in places]),
    )


def _boxes(place: Place) -> Boxes | None:
    boxes = boxes_of(place.case)
    return None if boxes is None else shift_boxes(boxes, place.start)


def _empty(
    place: Place, size: Sequence[int], *, lead: tuple[int, ...] = (), pin: bool = False
) -> tuple[Tensor, Tensor]:
    source = place.case.image
    device = source.device if isinstance(source, Tensor) else torch.device("cpu")
    pin = pin and device.type == "cpu"
    channels = source.shape[0]
    image = torch.empty(
        (*lead, channels, *size), dtype=torch.float32, device=device, pin_memory=pin
    )
    maps = (*lead, len(maps_of(place.case)), *size)
    label = torch.empty(maps, dtype=torch.uint8, device=device, pin_memory=pin)
    return image, label


def _fill(
    place: Place,
    image: Tensor,
    label: Tensor,
    *,
    margin: Margin | None,
    pin: bool = False,
    views: bool = False,
) -> Wide | None:
    case, start, seed = place
    source, maps = case.image, maps_of(case)
    if source.shape[0] != image.shape[0]:
        raise InputError(
            f"case {case.id!r} has another number of channels than those before it",
            expected=str(image.shape[0]),
            found=str(source.shape[0]),
        )
    if len(maps) != len(label):
        raise InputError(
            f"case {case.id!r} differs from those before it in whether an earlier stage guides it"
        )
    copy_patch(source, start, image)
    for number, indices in enumerate(maps):
        copy_patch(indices, start, label[number])
    wanted = None if margin is None else margin(seed, tuple(image.shape))
    if wanted is None:
        return None
    return _widen(place, image.shape[1:], wanted, pin=pin, views=views)


def _widen(
    place: Place,
    size: Sequence[int],
    wanted: Sequence[tuple[int, int]],
    *,
    pin: bool,
    views: bool,
) -> Wide | None:
    source, maps = place.case.image, maps_of(place.case)
    # The region ends at the image's border, but never within the patch.
    around = [
        (min(low, max(a, 0)), min(high, max(n - a - p, 0)))
        for (low, high), a, p, n in zip(wanted, place.start, size, maps[0].shape, strict=True)
    ]
    if not any(low or high for low, high in around):
        return None
    begin = tuple(a - low for a, (low, _) in zip(place.start, around, strict=True))
    extent = tuple(p + low + high for p, (low, high) in zip(size, around, strict=True))
    image = view_patch(source, begin, extent) if views else None
    # Two maps are two arrays, of which one view cannot be.
    label = view_patch(maps[0], begin, extent) if views and len(maps) == 1 else None
    if image is None or label is None:
        image, label = _empty(place, extent, pin=pin)
        copy_patch(source, begin, image)
        for number, indices in enumerate(maps):
            copy_patch(indices, begin, label[number])
    else:
        label = label[None]
    return Wide(image, label, tuple(low for low, _ in around))
