"""The weights of a MONAI bundle; its configurations are read as JSON and never evaluated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.errors import InputError
from medseg.networks.wiring import DECIDED_BY_DATA
from medseg.training.transfer.source import Source, load, tensors_in

_WEIGHTS = "models/model.pt"
_PROGRAM = "models/model.ts"
# Where bundles define their network.
_CONFIGS = ("configs/inference.json", "configs/train.json")
_NAMES = ("network_def", "net_def", "network", "net")
# MONAI's networks whose structure is a plan's, under all their names.
_UNETS = {"UNet": "UNet", "Unet": "UNet", "AttentionUnet": "AttentionUnet"}
_DYNUNETS = ("DynUNet", "DynUnet", "Dynunet")


def read(folder: Path, *, weights: Path | None = None) -> Source:
    """Read a bundle's weights, the names of its channels and classes, and its network.

    Args:
        folder: of the bundle.
        weights: another file than ``models/model.pt``.

    Raises:
        InputError: there are no weights, or only a TorchScript program.
    """
    path = weights or folder / _WEIGHTS
    if not path.is_file():
        program = (folder / _PROGRAM).is_file()
        raise InputError(
            "the bundle's TorchScript file is a program, and reading its weights would run it"
            if program
            else "the bundle holds no weights",
            file=folder / _PROGRAM if program else folder,
            expected=_WEIGHTS,
            remedy="if you trust it, write its weights yourself: "
            f"torch.save(torch.jit.load('{folder / _PROGRAM}').state_dict(), '{path}')"
            if program
            else "download them as the bundle's documentation says",
        )
    state = tensors_in(load(path), path)
    formats = _json(folder / "configs" / "metadata.json").get("network_data_format", {})
    network, structure, notes = _network(folder)
    return Source(
        path=path,
        kind="MONAI bundle",
        state=state,
        channels=_names(formats, "inputs"),
        classes=_names(formats, "outputs"),
        network=network,
        structure=structure,
        notes=notes,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _names(formats: Any, side: str) -> tuple[str, ...] | None:
    """Return ``channel_def`` of the first input or output, if it names every channel."""
    found = formats.get(side) if isinstance(formats, Mapping) else None
    first = next(iter(found.values()), None) if isinstance(found, Mapping) else None
    names = first.get("channel_def") if isinstance(first, Mapping) else None
    if not isinstance(names, Mapping) or set(names) != {str(i) for i in range(len(names))}:
        return None
    return tuple(str(names[str(i)]) for i in range(len(names)))


def _network(folder: Path) -> tuple[dict[str, Any] | None, dict[str, Any], tuple[str, ...]]:
    """Return the network's record, what of it is a plan's, and a note where it is not plain."""
    for file in _CONFIGS:
        config = _json(folder / file)
        for key in _NAMES:
            found = config.get(key)
            if isinstance(found, dict) and isinstance(found.get("_target_"), str):
                return _record(found, f"{file}: {key}")
    return None, {}, ()


def _record(
    found: dict[str, Any], where: str
) -> tuple[dict[str, Any] | None, dict[str, Any], tuple[str, ...]]:
    module, _, name = found["_target_"].rpartition(".")
    given = {key: value for key, value in found.items() if not key.startswith("_")}
    free = {key: value for key, value in given.items() if key not in DECIDED_BY_DATA}
    plain = not any(_is_expression(value) for value in free.values())
    if module.partition(".")[0] not in ("", "monai") or not plain:
        why = "is no network of MONAI" if plain else "holds expressions, which are not evaluated"
        return None, {}, (f"{where} {why}: the recipe's network is taken",)
    if name in _DYNUNETS:
        name, structure = "DynUNet", _of_dynunet(free)
    elif name in _UNETS:
        name, structure = _UNETS[name], _of_unet(free, given.get("spatial_dims", 3))
    else:
        return {"name": f"monai.{name}", "arguments": free}, {}, ()
    notes = () if structure else (f"{where} does not say features, strides and kernels as a plan",)
    return {"name": f"monai.{name}", "arguments": free}, structure, notes


def _of_unet(arguments: dict[str, Any], dims: Any) -> dict[str, Any]:
    """Take out what is a plan's: strides stand between the stages, and all have one kernel."""
    channels, strides = arguments.pop("channels", None), arguments.pop("strides", None)
    kernel, up_kernel = (arguments.pop(key, 3) for key in ("kernel_size", "up_kernel_size"))
    lists = isinstance(channels, list) and isinstance(strides, list)
    if not lists or dims not in (2, 3) or kernel != up_kernel:
        return {}
    steps = [_per_axis(stride, dims) for stride in strides[: len(channels) - 1]]
    return {
        "features": channels,
        "strides": [[1] * dims, *steps],
        "kernels": [_per_axis(kernel, dims)] * len(channels),
    }


def _of_dynunet(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take out what is a plan's; transposed convolutions have the kernel of their stride."""
    names = {"features": "filters", "strides": "strides", "kernels": "kernel_size"}
    found = {own: arguments.pop(name, None) for own, name in names.items()}
    up = arguments.pop("upsample_kernel_size", None)
    strides = found["strides"]
    fits = all(isinstance(value, list) for value in found.values())
    return found if fits and up == strides[1:] else {}


def _per_axis(value: Any, dims: int) -> list[int]:
    return list(value) if isinstance(value, list) else [value] * dims


def _is_expression(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_is_expression, value.values()))
    if isinstance(value, list):
        return any(map(_is_expression, value))
    return isinstance(value, str) and value[:1] in ("$", "@", "%")
