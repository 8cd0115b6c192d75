"""What the user fixed in the plan, read and checked."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medseg.errors import InputError
from medseg.planning.plan import Normalisation
from medseg.planning.pooling import PerAxis

Reader = Callable[[Any], Any]

PREPROCESSING = ("orientation", "crop", "spacing", "normalisation")
NETWORK = ("patch_size", "batch_size", "strides", "kernels", "features", "batch_dice", "neighbours")


def check_keys(overrides: Mapping[str, Any]) -> None:
    """Refuse keys that no plan has.

    Raises:
        InputError: an unknown key; the message names it and the likeliest that was meant.
    """
    known = (*PREPROCESSING, *NETWORK)
    for key in overrides:
        if key in ("configuration", "preset"):
            raise InputError(
                f"plan.{key} decides what is planned, so it stands in the recipe",
                remedy=f"set plan.{key} there, or on the command line",
            )
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(f"plan.{key}: unknown key{hint}", expected=", ".join(known))


def preprocessing(
    overrides: Mapping[str, Any], *, spatial_dims: int, channels: int
) -> dict[str, Any]:
    """Check what the user fixed of the preprocessing, and return it in the plan's types.

    Args:
        overrides: keys as in plan.yaml; ``None`` values count as not given. One number stands for
            all axes.
        spatial_dims: dimensions of the data.
        channels: channels of the images.

    Raises:
        InputError: a value of the wrong form; the message names the key.
    """
    readers: dict[str, Reader] = {
        "spacing": lambda v: _per_axis("spacing", v, spatial_dims, float),
        "normalisation": lambda v: _normalisations(v, channels),
        "crop": _crop,
        "orientation": lambda v: _orientation(v, spatial_dims),
    }
    return _read(overrides, readers)


def network(
    overrides: Mapping[str, Any], *, spatial_dims: int, flat: int | None = None
) -> dict[str, Any]:
    """Check what the user fixed of patch, batch and network, and return it in the plan's types.

    Args:
        overrides: as for `preprocessing`.
        spatial_dims: likewise.
        flat: the axis along which slices are stacked; along it, one number for all axes means 1.

    Raises:
        InputError: a value of the wrong form; the message names the key.
    """
    readers: dict[str, Reader] = {
        "patch_size": lambda v: _per_axis("patch_size", v, spatial_dims, int, flat),
        "strides": lambda v: _per_stage("strides", v, spatial_dims, flat),
        "kernels": lambda v: _per_stage("kernels", v, spatial_dims, flat),
        "features": _features,
        "batch_size": lambda v: _numbers("batch_size", [v], int)[0],
        "batch_dice": _batch_dice,
    }
    return _read(overrides, readers)


def neighbours(overrides: Mapping[str, Any], *, slices: bool) -> int:
    """Check how many neighbouring slices the user wants on either side; 0 where none is given.

    Args:
        overrides: as for `preprocessing`.
        slices: the plan sees volumes slice by slice.

    Raises:
        InputError: a value of the wrong form, or there are no slices.
    """
    given = overrides.get("neighbours") or 0
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise InputError("plan.neighbours: not a whole number of slices", found=repr(given))
    if given and not slices:
        raise InputError(
            "plan.neighbours: only what is seen slice by slice has neighbouring slices",
            expected="volumes with plan.configuration: 2d",
            remedy="add plan.configuration: 2d, or leave neighbours out",
        )
    return given


def _read(overrides: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any]:
    given = {key: overrides.get(key) for key in readers}
    return {key: readers[key](value) for key, value in given.items() if value is not None}


def _numbers(key: str, values: Sequence[Any], kind: type) -> tuple:
    good = all(
        isinstance(v, int | float)
        and not isinstance(v, bool)
        and math.isfinite(v)
        and v > 0
        and (kind is float or float(v).is_integer())
        for v in values
    )
    if not good or not values:
        what = "whole numbers above 0" if kind is int else "numbers above 0"
        raise InputError(f"plan.{key}: not {what}", expected=what, found=str(list(values)))
    return tuple(kind(v) for v in values)


def _per_axis(key: str, value: Any, dims: int, kind: type, flat: int | None = None) -> tuple:
    alike = [1 if axis == flat else value for axis in range(dims)]
    values = list(value) if isinstance(value, Sequence) else alike
    if isinstance(value, str) or len(values) != dims:
        raise InputError(f"plan.{key}: one value per axis", expected=f"{dims}", found=repr(value))
    if flat is not None and values[flat] != 1:
        raise InputError(
            f"plan.{key}: slices are stacked along axis {flat}, so it must be 1 there",
            found=repr(value),
            remedy="give 1 on that axis, or choose another plan.configuration than 2d",
        )
    return _numbers(key, values, kind)


def _per_stage(key: str, value: Any, dims: int, flat: int | None) -> tuple[PerAxis, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) < 2:
        raise InputError(f"plan.{key}: a list with an entry per stage", found=repr(value))
    stages = tuple(_per_axis(key, stage, dims, int, flat) for stage in value)
    if key == "strides" and any(n != 1 for n in stages[0]):
        raise InputError(
            "plan.strides: the first stage keeps the resolution of the image",
            expected=f"{[1] * dims} first",
            found=str(list(stages[0])),
        )
    if key == "kernels" and any(n % 2 == 0 for stage in stages for n in stage):
        raise InputError("plan.kernels: kernels must be odd", found=str(value))
    return stages


def _features(value: Any) -> tuple[int, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) < 2:
        raise InputError(
            "plan.features: a list with the channels of two or more stages", found=repr(value)
        )
    return _numbers("features", value, int)


def _batch_dice(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError("plan.batch_dice: neither true nor false", found=repr(value))
    return value


def _crop(value: Any) -> str:
    if value not in ("nonzero", "none"):
        raise InputError("plan.crop: no such rule", expected="nonzero or none", found=repr(value))
    return value


def _orientation(value: Any, dims: int) -> str:
    codes = value.upper() if isinstance(value, str) else ""
    axes = sorted("LR" if c in "LR" else "AP" if c in "AP" else "IS" for c in codes)
    if dims != 3 or set(codes) - set("LRAPIS") or axes != ["AP", "IS", "LR"]:
        raise InputError(
            "plan.orientation: not the codes of three axes",
            expected="a code such as RAS or LPS" if dims == 3 else "none: pictures have no axes",
            found=repr(value),
        )
    return codes


def _normalisations(value: Any, channels: int) -> tuple[Normalisation | str, ...]:
    """Return one entry per channel: a complete `Normalisation`, or a scheme's name to fill in."""
    single = isinstance(value, str | Mapping | Normalisation)
    entries = [value] * channels if single else list(value)
    if len(entries) != channels:
        raise InputError(
            "plan.normalisation: one entry per channel",
            expected=str(channels),
            found=str(len(entries)),
        )
    return tuple(_normalisation(entry) for entry in entries)


def _normalisation(entry: Any) -> Normalisation | str:
    schemes = ("ct", "zscore", "minmax", "none")
    try:
        found = Normalisation(**entry) if isinstance(entry, Mapping) else entry
    except TypeError as error:
        raise InputError(f"plan.normalisation: {error}", found=str(dict(entry))) from error
    name = found.scheme if isinstance(found, Normalisation) else found
    if name not in schemes:
        raise InputError(
            "plan.normalisation: no such scheme", expected=", ".join(schemes), found=repr(name)
        )
    return found
