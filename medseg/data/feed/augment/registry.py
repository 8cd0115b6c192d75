"""From a component's name and arguments to a transform."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from medseg.data.feed.augment.affine import Affine
from medseg.data.feed.augment.blur import GaussianBlur
from medseg.data.feed.augment.defaults import default
from medseg.data.feed.augment.elastic import Elastic
from medseg.data.feed.augment.intensity import Brightness, Contrast, Gamma, GaussianNoise
from medseg.data.feed.augment.low_resolution import LowResolution
from medseg.data.feed.augment.mirror import Mirror, QuarterTurn
from medseg.data.feed.augment.transform import BatchTransform, LoaderTransform, split
from medseg.errors import InputError
from medseg.trust import trusted_class

__all__ = ["BUILTIN", "create", "default", "resolve", "split"]

BUILTIN: dict[str, type[BatchTransform]] = {
    "affine": Affine,
    "blur": GaussianBlur,
    "brightness": Brightness,
    "contrast": Contrast,
    "elastic": Elastic,
    "gamma": Gamma,
    "low_resolution": LowResolution,
    "mirror": Mirror,
    "noise": GaussianNoise,
    "quarter_turn": QuarterTurn,
}


_BASES = "medseg.data.feed.augment.BatchTransform or LoaderTransform"


def resolve(name: str, *, trust: Collection[str] = ()) -> type:
    """Find the class behind ``gamma``, ``monai.RandFlipd``, ``torchio.RandomBlur`` or ``a.b:C``.

    Args:
        name: of the component.
        trust: top-level packages that may be imported.

    Raises:
        InputError: there is none, it is no transform, or its package is not trusted.
    """
    if ":" in name:
        bases = (BatchTransform, LoaderTransform)
        return trusted_class(name, bases, base_name=_BASES, trust=trust, what="transform")
    if name in BUILTIN:
        return BUILTIN[name]
    home, _, short = name.partition(".")
    if home == "monai" and short:
        import monai.transforms as library
        from monai.transforms.transform import Transform

        return _member(library, short, Transform, name)
    if home == "torchio" and short:
        import torchio.transforms as tio

        return _member(tio, short, tio.Transform, name)
    raise _unknown(name, [*BUILTIN, "monai.…", "torchio.…", "package.module:Class"])


def create(
    name: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    spacing: Sequence[float] | None = None,
    trust: Collection[str] = (),
) -> BatchTransform | LoaderTransform:
    """Make a transform from a component of a recipe.

    Args:
        name: see `resolve`.
        arguments: of its constructor. MONAI's ``keys`` and the label's ``mode`` are filled in.
        spacing: mm per axis of the images, given to what works in millimetres.
        trust: top-level packages whose own classes may be imported.

    Raises:
        InputError: unknown name or arguments, or a label would be interpolated.
    """
    cls = resolve(name, trust=trust)
    given = dict(arguments or {})
    if ":" not in name and name.startswith("monai."):
        from medseg.data.feed.augment import monai_adapter

        given = monai_adapter.wire(cls, given, name=name)
        return monai_adapter.MonaiTransform(_build(cls, given, name), name=name)
    if ":" not in name and name.startswith("torchio."):
        from medseg.data.feed.augment import torchio_adapter

        given = torchio_adapter.wire(given, name=name)
        return torchio_adapter.TorchioTransform(
            _build(cls, given, name), name=name, spacing=spacing
        )
    if spacing is not None and "spacing" in inspect.signature(cls).parameters:
        given.setdefault("spacing", tuple(spacing))
    return _build(cls, given, name)


def _build(cls: type, arguments: Mapping[str, Any], name: str) -> Any:
    try:
        inspect.signature(cls).bind(**arguments)
        return cls(**arguments)
    except InputError:
        raise
    except (TypeError, ValueError, KeyError) as error:
        known = [p for p in inspect.signature(cls).parameters if p not in ("args", "kwargs")]
        raise InputError(
            f"{name} cannot be made: {error}",
            expected=f"arguments {known}",
            found=str(dict(arguments)),
        ) from error


def _member(module: Any, short: str, base: type, name: str) -> type:
    home = name.partition(".")[0]
    cls = getattr(module, short, None)
    if not (inspect.isclass(cls) and issubclass(cls, base)):
        known = [
            f"{home}.{n}"
            for n in dir(module)
            if inspect.isclass(getattr(module, n)) and issubclass(getattr(module, n), base)
        ]
        raise _unknown(name, known)
    return cls


def _unknown(name: str, known: Sequence[str]) -> InputError:
    close = difflib.get_close_matches(name, known, n=1)
    return InputError(
        f"there is no transform {name!r}",
        expected=f"one of {', '.join(known)}" if len(known) < 20 else None,
        remedy=f"did you mean {close[0]!r}?" if close else None,
    )
