"""The plan: every number that follows from the data and that training and prediction need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from medseg.planning.plain import plain

# Most plans have nothing to say of these, and then do not name them.
_RARE = ("neighbours", "levels", "anchors", "overlap")


@dataclass(frozen=True)
class Normalisation:
    """How one channel's intensities are scaled.

    Attributes:
        scheme: ``ct`` clips to [lower, upper], then (x - mean) / std of the data set; ``zscore``
            uses each image's own mean and std, ``minmax`` its least and largest value; ``none``
            leaves the values.
        masked: z-score over the non-zero voxels only, zeros stay zero.
        lower, upper, mean, std: in the units of the image (CT: HU); used by ``ct``.
    """

    scheme: Literal["ct", "zscore", "minmax", "none"] = "zscore"
    masked: bool = False
    lower: float = 0.0
    upper: float = 0.0
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class PreprocessingPlan:
    """What turns a scanner's file into the array that the network sees; part of the cache's key.

    Attributes:
        orientation: axis codes to bring the array to (``RAS``), or ``None`` for pictures (2D).
        crop: ``nonzero`` crops to the box of non-zero voxels, ``none`` does not.
        spacing: target spacing in mm per axis.
        normalisation: one entry per channel.
    """

    orientation: str | None
    crop: Literal["nonzero", "none"]
    spacing: tuple[float, ...]
    normalisation: tuple[Normalisation, ...]


@dataclass(frozen=True)
class Plan:
    """What the data decide.

    Attributes:
        preprocessing: see `PreprocessingPlan`.
        patch_size: voxels per axis at the target spacing.
        batch_size: patches per training step.
        strides: per stage of the encoder, per axis; the first stage is all ones.
        kernels: per stage, per axis.
        features: channels per stage.
        batch_dice: take Dice over all patches of a step at once, where the loss leaves it open.
        neighbours: slices on either side that a network of slices sees as channels (2.5D).
        levels: of a detection: stages of the encoder at whose resolutions objects are looked for.
        anchors: of a detection: voxels of the boxes tried at each place, per level, box and axis.
        overlap: of a detection: IoU from which two boxes of a class show one object.
    """

    preprocessing: PreprocessingPlan
    patch_size: tuple[int, ...]
    batch_size: int
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    features: tuple[int, ...]
    batch_dice: bool = False
    neighbours: int = 0
    levels: tuple[int, ...] = ()
    anchors: tuple[tuple[tuple[float, ...], ...], ...] = ()
    overlap: float | None = None

    @property
    def spatial_dims(self) -> int:
        """2 or 3."""
        return len(self.patch_size)

    @property
    def slice_axis(self) -> int | None:
        """The axis along which a volume is seen slice by slice; ``None``: it is seen whole."""
        if self.spatial_dims == 2:
            return None
        flat = (self.patch_size, *self.strides, *self.kernels)
        return next((axis for axis in range(3) if all(v[axis] == 1 for v in flat)), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the flat plain mapping that ``plan.yaml`` and checkpoints hold."""
        pre = asdict(self.preprocessing)
        own = {
            f.name: value
            for f in fields(self)
            if (value := getattr(self, f.name)) != f.default or f.name not in _RARE
        }
        del own["preprocessing"]
        return plain({**pre, **own})

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Plan:
        """Rebuild from `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: it is not what `to_dict` gives.
        """
        return cls(
            preprocessing=PreprocessingPlan(
                orientation=_axis_codes(state["orientation"]),
                crop=state["crop"],
                spacing=tuple(float(s) for s in state["spacing"]),
                normalisation=tuple(Normalisation(**n) for n in state["normalisation"]),
            ),
            patch_size=tuple(int(n) for n in state["patch_size"]),
            batch_size=int(state["batch_size"]),
            strides=tuple(tuple(int(n) for n in s) for s in state["strides"]),
            kernels=tuple(tuple(int(n) for n in k) for k in state["kernels"]),
            features=tuple(int(n) for n in state["features"]),
            batch_dice=bool(state.get("batch_dice", False)),
            neighbours=int(state.get("neighbours", 0)),
            levels=tuple(int(n) for n in state.get("levels", ())),
            anchors=tuple(
                tuple(tuple(float(n) for n in size) for size in level)
                for level in state.get("anchors", ())
            ),
            overlap=None if state.get("overlap") is None else float(state["overlap"]),
        )


def _axis_codes(codes: Any) -> str | None:
    """Return codes of axes, such as ``RAS``; pictures have none."""
    if codes is None:
        return None
    found = str(codes).upper()
    if len(found) != 3 or any(sum(c in pair for c in found) != 1 for pair in ("LR", "PA", "IS")):
        raise ValueError(f"orientation {codes!r} is not the codes of three axes")
    return found
