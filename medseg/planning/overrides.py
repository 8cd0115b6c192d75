"""What the user fixed in the plan, read and checked."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from medseg.errors import InputError
from medseg.planning.plan import Normalisation
from medseg.planning.pooling import PerAxis

KEYS = (
    "orientation",
    "crop",
    "spacing",
    "normalisation",
    "patch_size",
    "batch_size",
    "strides",
    "kernels",
    "features",
)


def read(overrides: Mapping[str, Any], *, spatial_dims: int, channels: int) -> dict[str, Any]:
    """Check the values that the user gave and return them in the plan's types.

    Args:
        overrides: keys as in plan.yaml; ``None`` values count as not given. One number stands for
            all axes.
        spatial_dims: dimensions of the data.
        channels: channels of the images.

    Raises:
        InputError: an unknown key, or a value of the wrong form; the message names the key.
    """
    unknown = [key for key in overrides if key not in KEYS]
    if unknown:
        close = difflib.get_close_matches(unknown[0], KEYS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InputError(f"plan.{unknown[0]}: unknown key{hint}", expected=", ".join(KEYS))
    given = {key: value for key, value in overrides.items() if value is not None}
    for key, read_value in {
        "spacing": lambda v: _per_axis("spacing", v, spatial_dims, float),
        "patch_size": lambda v: _per_axis("patch_size", v, spatial_dims, int),
        "strides": lambda v: _per_stage("strides", v, spatial_dims),
        "kernels": lambda v: _per_stage("kernels", v, spatial_dims),
        "features": _features,
        "batch_size": lambda v: _numbers("batch_size", [v], int)[0],
        "normalisation": lambda v: _normalisations(v, channels),
        "crop": _crop,
        "orientation": lambda v: _orientation(v, spatial_dims),
    }.items():
        if key in given:
            given[key] = read_value(given[key])
    return given


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


def _per_axis(key: str, value: Any, dims: int, kind: type) -> tuple:
    values = list(value) if isinstance(value, Sequence) else [value] * dims
    if isinstance(value, str) or len(values) != dims:
        raise InputError(f"plan.{key}: one value per axis", expected=f"{dims}", found=repr(value))
    return _numbers(key, values, kind)


def _per_stage(key: str, value: Any, dims: int) -> tuple[PerAxis, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) < 2:
        raise InputError(f"plan.{key}: a list with an entry per stage", found=repr(value))
    stages = tuple(_per_axis(key, stage, dims, int) for stage in value)
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
    schemes = ("ct", "zscore", "none")
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
