"""Losses by the name that a recipe gives them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from medseg.errors import InputError
from medseg.losses.boundary import BoundaryLoss, DiceBoundaryLoss
from medseg.losses.cl_dice import CLDiceLoss, DiceCLDiceLoss
from medseg.losses.cross_entropy import BinaryCrossEntropyLoss, CrossEntropyLoss
from medseg.losses.dice import DiceLoss
from medseg.losses.dice_ce import DiceCELoss
from medseg.losses.focal import DiceFocalLoss, FocalLoss
from medseg.losses.generalised_dice import GeneralisedDiceLoss
from medseg.losses.hausdorff import DiceHausdorffLoss, HausdorffLoss
from medseg.losses.region import RegionLoss
from medseg.losses.top_k import DiceTopKLoss, TopKLoss
from medseg.losses.tversky import FocalTverskyLoss, TverskyLoss
from medseg.trust import trusted_class

# What takes either kind of labels has an argument `regions`.
_EITHER: Mapping[str, type[nn.Module]] = {
    "dice": DiceLoss,
    "generalised_dice": GeneralisedDiceLoss,
    "tversky": TverskyLoss,
    "focal_tversky": FocalTverskyLoss,
    "focal": FocalLoss,
    "top_k": TopKLoss,
    "boundary": BoundaryLoss,
    "hausdorff": HausdorffLoss,
    "cl_dice": CLDiceLoss,
    "dice_focal": DiceFocalLoss,
    "dice_top_k": DiceTopKLoss,
    "dice_boundary": DiceBoundaryLoss,
    "dice_hausdorff": DiceHausdorffLoss,
    "dice_cl_dice": DiceCLDiceLoss,
}
EXCLUSIVE: Mapping[str, type[nn.Module]] = {
    "ce": CrossEntropyLoss,
    "dice_ce": DiceCELoss,
    **_EITHER,
}
REGIONS: Mapping[str, type[nn.Module]] = {
    "bce": BinaryCrossEntropyLoss,
    "dice_bce": RegionLoss,
    **_EITHER,
}

# Of the losses that fit one kind of labels, what is the same for the other.
_COUNTERPARTS = {"ce": "bce", "bce": "ce", "dice_ce": "dice_bce", "dice_bce": "dice_ce"}


def ours() -> dict[str, type[nn.Module]]:
    """Return the losses of this package by name."""
    return {**EXCLUSIVE, **REGIONS}


def default(*, regions: bool) -> str:
    """Return the name of the loss to train with when nobody says otherwise."""
    return "dice_bce" if regions else "dice_ce"


def resolve(name: str, *, trust: Sequence[str] = ()) -> type[nn.Module]:
    """Return the class of a loss.

    Args:
        name: one of ours (``dice_ce``), ``monai.DiceFocalLoss``, or ``package.module:Class``.
        trust: top-level packages whose code may be imported.

    Raises:
        InputError: there is no such loss, or its package is not trusted.
    """
    if name in ours():
        return ours()[name]
    if ":" in name:
        return trusted_class(name, nn.Module, base_name="torch.nn.Module", trust=trust, what="loss")
    if name.startswith("monai."):
        import monai.losses

        cls = getattr(monai.losses, name.removeprefix("monai."), None)
        if inspect.isclass(cls) and issubclass(cls, nn.Module):
            return cls
    raise _unknown(name)


def create(
    name: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    regions: bool,
    trust: Sequence[str] = (),
    num_classes: int | None = None,
    spatial_dims: int | None = None,
    spacing: Sequence[float] | None = None,
) -> nn.Module:
    """Build a loss: ``loss(logits (B, K, *S), target) -> scalar``.

    Args:
        name: see `resolve`.
        arguments: for its constructor.
        regions: the target is masks ``(B, R, *S)``; else indices ``(B, 1, *S)``.
        trust: see `resolve`.
        num_classes: outputs of the network, for the MONAI losses that ask for it.
        spatial_dims: 2 or 3, likewise.
        spacing: of the voxels, for losses of ours that measure distances.

    Raises:
        InputError: the name is unknown, the loss does not fit the target, or refuses arguments.
    """
    arguments = dict(arguments or {})
    cls = resolve(name, trust=trust)
    if name.startswith("monai."):
        from medseg.losses.from_monai import MonaiLoss

        return MonaiLoss(
            cls, arguments, regions=regions, num_classes=num_classes, spatial_dims=spatial_dims
        )
    if name in ours() and name not in (REGIONS if regions else EXCLUSIVE):
        found = "overlapping regions" if regions else "exclusive classes"
        raise InputError(
            f"the loss {name!r} does not fit labels that are {found}",
            expected=", ".join(REGIONS if regions else EXCLUSIVE),
            remedy=f"use {_COUNTERPARTS.get(name, default(regions=regions))}",
        )
    if name in ours():
        arguments = _wired(cls, regions=regions, spacing=spacing) | arguments
    try:
        inspect.signature(cls).bind(**arguments)
    except TypeError as error:
        raise InputError(
            f"the loss {name!r} refuses its arguments: {error}",
            expected=f"arguments of {cls.__name__}{inspect.signature(cls)}",
            found=str(arguments),
        ) from error
    return cls(**arguments)


def leaves_batch_open(name: str, arguments: Mapping[str, Any]) -> bool:
    """Tell whether a loss of ours leaves open over which patches its Dice is taken."""
    cls = ours().get(name)
    return (
        cls is not None
        and "batch" in inspect.signature(cls).parameters
        and arguments.get("batch") is None
    )


def _wired(cls: type[nn.Module], **known: Any) -> dict[str, Any]:
    """Return those of the `known` arguments that a loss of ours takes."""
    taken = inspect.signature(cls).parameters
    return {key: value for key, value in known.items() if key in taken}


def _unknown(name: str) -> InputError:
    known = list(ours())
    if name.startswith("monai."):
        from medseg.losses.from_monai import segmentation_losses

        known += [f"monai.{loss}" for loss in segmentation_losses()]
    close = difflib.get_close_matches(name, known, n=1)
    return InputError(
        f"there is no loss {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
        expected=f"{', '.join(known)}, monai.<Name> or package.module:Class",
    )
