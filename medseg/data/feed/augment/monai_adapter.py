"""MONAI transforms as per-sample transforms of the loader."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from medseg.data.feed.augment.guard import checked, private_randomness
from medseg.data.feed.augment.transform import LoaderTransform
from medseg.data.feed.batch import Sample
from medseg.errors import InputError

_KEYS = ("image", "label")
_NEAREST = ("nearest", "nearest-exact", "0")
_GEOMETRY = ("monai.transforms.spatial.", "monai.transforms.croppad.")


class MonaiTransform(LoaderTransform):
    """Apply a MONAI transform to samples; its keys are ``image`` and ``label``.

    A dictionary transform changes the keys that it was made with. An array transform sees the
    image only, so it may not be a geometric one.

    Args:
        transform: an instance from ``monai.transforms``.
        name: what messages call it; ``None``: its class.

    Raises:
        InputError: the transform cannot be applied to image and label alike.
    """

    def __init__(self, transform: Any, *, name: str | None = None) -> None:
        from monai.transforms.compose import Compose
        from monai.transforms.transform import MapTransform

        self.transform = transform
        self._name = name or f"monai.{type(transform).__name__}"
        self.by_keys = isinstance(transform, MapTransform | Compose)
        if not self.by_keys and is_geometric(type(transform)):
            raise _array_geometry(self._name)
        if isinstance(transform, MapTransform):
            unknown = [key for key in transform.keys if key not in _KEYS]
            if unknown:
                raise InputError(
                    f"{self._name}: unknown keys", expected=str(list(_KEYS)), found=str(unknown)
                )

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._name

    def __call__(self, sample: Sample, *, seed: int) -> Sample:
        """Apply to one sample, with every random choice decided by ``seed``."""
        if hasattr(self.transform, "set_random_state"):
            self.transform.set_random_state(seed=seed % 2**32)
        with private_randomness(seed):
            if not self.by_keys:
                return checked(sample, self.transform(sample.image.clone()), None, name=self.name)
            given = {"image": sample.image.clone()}
            if sample.label is not None:
                given["label"] = sample.label.clone()
            result = self.transform(given)
        if not isinstance(result, Mapping):
            raise InputError(
                f"{self.name} makes several samples of one", remedy="patches are cut by the feed"
            )
        return checked(sample, result["image"], result.get("label"), name=self.name)


def wire(cls: type, arguments: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """Complete the arguments of a MONAI class so that it is label-safe.

    A dictionary transform gets its keys: both for a geometric one, else the image; a geometric one
    reads the label with mode ``nearest``.

    Raises:
        InputError: another mode is asked for the label.
    """
    from monai.transforms.transform import MapTransform

    known = inspect.signature(cls).parameters
    wired = dict(arguments)
    if not issubclass(cls, MapTransform):
        if is_geometric(cls):
            raise _array_geometry(name)
        return wired
    keys = wired.get("keys", _KEYS if is_geometric(cls) else _KEYS[:1])
    keys = (keys,) if isinstance(keys, str) else tuple(keys)
    wired["keys"] = keys
    if is_geometric(cls) and "label" in keys:
        for parameter in ("mode", "grid_mode"):
            if parameter in known and _interpolates(cls):
                given = wired.get(parameter, "bilinear")
                wired[parameter] = _modes(given, keys, name=name)
    return wired


def is_geometric(cls: type) -> bool:
    """Say whether a MONAI class moves voxels, so that the label must follow."""
    if cls.__name__.startswith("RandSimulateLowResolution"):
        return False
    return cls.__module__.startswith(_GEOMETRY) or cls.__name__.startswith("RandSmoothDeform")


def _interpolates(cls: type) -> bool:
    # In the crop-and-pad family `mode` says what to pad with, not how to interpolate.
    return not cls.__module__.startswith(_GEOMETRY[1])


def _modes(given: Any, keys: tuple[str, ...], *, name: str) -> tuple[Any, ...]:
    if isinstance(given, str | int) or not hasattr(given, "__iter__"):
        return tuple("nearest" if key == "label" else given for key in keys)
    modes = tuple(given)
    if len(modes) != len(keys):
        raise InputError(f"{name}: one mode per key", expected=f"{len(keys)}", found=str(modes))
    label_mode = modes[keys.index("label")]
    if str(getattr(label_mode, "value", label_mode)) not in _NEAREST:
        raise InputError(
            f"{name}: labels are never interpolated",
            expected="mode nearest for the label",
            found=str(label_mode),
        )
    return modes


def _array_geometry(name: str) -> InputError:
    return InputError(
        f"{name} would move the image and not the label",
        remedy=f"use the dictionary transform {name}d",
    )
