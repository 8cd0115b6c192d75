"""The network that a MONAI bundle defines, as medseg names and builds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medseg.networks.wiring import DECIDED_BY_DATA

# MONAI's networks whose structure is a plan's, under all their names.
_UNETS = {"UNet": "UNet", "Unet": "UNet", "AttentionUnet": "AttentionUnet"}
_DYNUNETS = ("DynUNet", "DynUnet", "Dynunet")


@dataclass(frozen=True)
class Described:
    """What a bundle says about its network.

    Attributes:
        network: ``{"name": …, "arguments": {…}}``; ``None``: it cannot be said without running it.
        structure: ``features``, ``strides`` and ``kernels`` of a plan, where they are one's.
        notes: what was not plain about it, in sentences.
    """

    network: Mapping[str, Any] | None = None
    structure: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def described(definition: Mapping[str, Any], where: str, *, dims: int) -> Described:
    """Read a network's definition (``_target_`` and its arguments); nothing is evaluated.

    Args:
        definition: of the configuration.
        where: it stands, for notes.
        dims: spatial dimensions, where the definition leaves them to an expression.
    """
    module, _, name = definition["_target_"].rpartition(".")
    given = {key: value for key, value in definition.items() if not key.startswith("_")}
    free = {key: value for key, value in given.items() if key not in DECIDED_BY_DATA}
    plain = not any(_is_expression(value) for value in free.values())
    if module.partition(".")[0] not in ("", "monai") or not plain:
        why = "is no network of MONAI" if plain else "holds expressions, which are not evaluated"
        return Described(notes=(f"{where} {why}: the recipe's network is taken",))
    stated = given.get("spatial_dims")
    dims = stated if stated in (2, 3) else dims
    if name in _DYNUNETS:
        name, structure = "DynUNet", _of_dynunet(free, dims)
    elif name in _UNETS:
        name, structure = _UNETS[name], _of_unet(free, dims)
    else:
        return Described({"name": f"monai.{name}", "arguments": free})
    notes = () if structure else (f"{where} does not say features, strides and kernels as a plan",)
    return Described({"name": f"monai.{name}", "arguments": free}, structure, notes)


def _of_unet(arguments: dict[str, Any], dims: int) -> dict[str, Any]:
    """Take out what is a plan's: strides stand between the stages, and all have one kernel."""
    channels, strides = arguments.pop("channels", None), arguments.pop("strides", None)
    kernel, up_kernel = (arguments.pop(key, 3) for key in ("kernel_size", "up_kernel_size"))
    lists = isinstance(channels, list) and isinstance(strides, list)
    if not lists or kernel != up_kernel:
        return {}
    return {
        "features": channels,
        "strides": [[1] * dims, *_per_axis(strides[: len(channels) - 1], dims)],
        "kernels": _per_axis([kernel] * len(channels), dims),
    }


def _of_dynunet(arguments: dict[str, Any], dims: int) -> dict[str, Any]:
    """Take out what is a plan's; transposed convolutions have the kernel of their stride."""
    lists = [arguments.pop(key, None) for key in ("strides", "kernel_size", "upsample_kernel_size")]
    features = arguments.pop("filters", None)
    if not all(isinstance(value, list) for value in lists):
        return {}
    strides, kernels, up = (_per_axis(value, dims) for value in lists)
    if features is None:  # MONAI's own, which are nnU-Net's
        features = [min(2 ** (5 + i), 320 if dims == 3 else 512) for i in range(len(strides))]
    if not isinstance(features, list) or up != strides[1:]:
        return {}
    return {"features": features[: len(strides)], "strides": strides, "kernels": kernels}


def _per_axis(values: list[Any], dims: int) -> list[list[int]]:
    return [list(value) if isinstance(value, list) else [value] * dims for value in values]


def _is_expression(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_is_expression, value.values()))
    if isinstance(value, list):
        return any(map(_is_expression, value))
    return isinstance(value, str) and value[:1] in ("$", "@", "%")
