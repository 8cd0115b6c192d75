"""The fingerprint: what the images of a data set are, as numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, Literal

from medseg.planning.plain import plain

# Hounsfield units mean the same in every scanner; a cone-beam CT's grey values do not.
_CT_NAMES = {"ct", "cta", "ncct", "cect", "ldct", "hu"}

Modality = Literal["ct", "none", "minmax", "rgb", "other"]

_NNUNET_NAMES: Mapping[str, Modality] = {
    "nonorm": "none",
    "rescale_to_0_1": "minmax",
    "rgb_to_0_1": "rgb",
}


@dataclass(frozen=True, slots=True)
class Intensity:
    """Statistics of one channel's values over a set of voxels, in the units of the image.

    Attributes:
        count: voxels that the statistics are taken over.
        min, max, mean, std: of these voxels.
        p00_5, median, p99_5: their 0.5th, 50th and 99.5th percentile.
    """

    count: int
    min: float
    max: float
    mean: float
    std: float
    p00_5: float
    median: float
    p99_5: float


@dataclass(frozen=True, slots=True)
class CaseFingerprint:
    """What one labelled case is.

    Attributes:
        id: the case.
        shape: voxels per axis, as planned for: in canonical (RAS) order for volumes.
        spacing: millimetres per axis, in the same order.
        orientation: axis codes of the file as stored (``LPS``), or ``None`` for a picture.
        cropped_shape: voxels per axis of the box of non-zero voxels.
        image_dtype: type of the stored image values; several channel files that differ are joined
            with ``+``.
        label_dtype: type of the stored label values.
        foreground: per channel, over the labelled voxels; ``None`` where there are none.
        nonzero: per channel, over that channel's non-zero voxels; ``None`` where there are none.
        label_voxels: voxels per label index, background first.
        objects: of each object that is to be found its class, an index into the foreground
            classes, and its extents in mm, per axis as ``spacing``; ``None``: none are to be found.
        overlaps: of each of these the largest IoU with another of its class in the image.
        content: hash of the voxel values; equal for duplicated images.
        notes: what was odd about the files, in words.
    """

    id: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    orientation: str | None
    cropped_shape: tuple[int, ...]
    image_dtype: str
    label_dtype: str
    foreground: tuple[Intensity | None, ...]
    nonzero: tuple[Intensity | None, ...]
    label_voxels: tuple[int, ...]
    content: str = ""
    notes: tuple[str, ...] = ()
    objects: tuple[tuple[float, ...], ...] | None = None
    overlaps: tuple[float, ...] = ()

    @property
    def crop_ratio(self) -> float:
        """Volume of the cropped box as a fraction of the whole, 0 … 1."""
        ratio = 1.0
        for part, whole in zip(self.cropped_shape, self.shape, strict=True):
            ratio *= part / whole
        return ratio


@dataclass(frozen=True)
class Fingerprint:
    """What the labelled cases of a data set are; ``fingerprint.json``.

    Attributes:
        channels: channel names in order.
        labels: `LabelScheme.to_dict` of the data set.
        cases: one entry per labelled case, sorted by id.
        foreground: per channel, over labelled voxels sampled evenly from all cases (the planner's
            clip limits, mean and std for CT); ``None`` where no case has a labelled voxel.
    """

    channels: tuple[str, ...]
    labels: Mapping[str, Any]
    cases: tuple[CaseFingerprint, ...]
    foreground: tuple[Intensity | None, ...]

    @property
    def spatial_dims(self) -> int:
        """2 or 3."""
        return len(self.cases[0].shape)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Per channel, what its name says of its values."""
        return tuple(modality(name) for name in self.channels)

    @property
    def object_sizes(self) -> tuple[tuple[float, ...], ...]:
        """Extents in mm of all objects that are to be found, per axis."""
        return tuple(one[1:] for case in self.cases for one in case.objects or ())

    @property
    def median_spacing(self) -> tuple[float, ...]:
        """Median over the cases, mm per axis."""
        return tuple(float(median(s)) for s in zip(*(c.spacing for c in self.cases), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers for JSON."""
        return plain(asdict(self))

    def to_json(self) -> str:
        """Return `to_dict` as text, a case a line; the cases are never dicts all at once."""
        head = json.dumps(plain(asdict(replace(self, cases=()))))
        cases = ",\n  ".join(json.dumps(plain(asdict(case))) for case in self.cases)
        return head.replace('"cases": []', f'"cases": [\n  {cases}\n ]', 1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Fingerprint:
        """Rebuild from `to_json`, or from any JSON of `to_dict`."""
        return cls.from_dict(json.loads(text, object_hook=_at_once))

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Fingerprint:
        """Rebuild from `to_dict`."""
        return cls(
            channels=tuple(state["channels"]),
            labels=dict(state["labels"]),
            cases=tuple(_case(entry) for entry in state["cases"]),
            foreground=_intensities(state["foreground"]),
        )


def modality(channel: str) -> Modality:
    """Tell from a channel's name what its values are.

    Hounsfield units, or one of the names by which nnU-Net's data sets ask for a scheme:
    ``noNorm``, ``rescale_to_0_1``, ``rgb_to_0_1``; anything else is ``other``.
    """
    asked = _NNUNET_NAMES.get(channel.strip().lower())
    if asked is not None:
        return asked
    words = {word for word in re.split(r"[^a-z0-9]+", channel.lower()) if word}
    return "ct" if words & _CT_NAMES else "other"


def _at_once(state: dict[str, Any]) -> Any:
    """Turn what is a case into one as soon as it is read: it takes a tenth of the memory."""
    return _case(state) if "label_voxels" in state and "cropped_shape" in state else state


def _case(state: Mapping[str, Any] | CaseFingerprint) -> CaseFingerprint:
    if isinstance(state, CaseFingerprint):
        return state
    return CaseFingerprint(
        id=state["id"],
        shape=tuple(int(n) for n in state["shape"]),
        spacing=tuple(float(s) for s in state["spacing"]),
        orientation=state["orientation"],
        cropped_shape=tuple(int(n) for n in state["cropped_shape"]),
        image_dtype=state["image_dtype"],
        label_dtype=state["label_dtype"],
        foreground=_intensities(state["foreground"]),
        nonzero=_intensities(state["nonzero"]),
        label_voxels=tuple(int(n) for n in state["label_voxels"]),
        content=state.get("content", ""),
        notes=tuple(state.get("notes", ())),
        objects=_objects(state.get("objects")),
        overlaps=tuple(float(iou) for iou in state.get("overlaps", ())),
    )


def _objects(states: list | None) -> tuple[tuple[float, ...], ...] | None:
    if states is None:
        return None
    return tuple((int(label), *map(float, extents)) for label, *extents in states)


def _intensities(states: list) -> tuple[Intensity | None, ...]:
    return tuple(None if s is None else Intensity(**s) for s in states)
