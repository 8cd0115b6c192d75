"""The encoders of U-Nets, which are those of the detectors under other names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

# U-Nets whose encoder a detector has, and what the detector calls it.
ENCODERS = {
    "unet": "plain",
    "attention_unet": "plain",
    "unet_plus_plus": "plain",
    "residual_unet": "residual",
}
# The U-Net that has a detector's encoder, and what it calls the number of layers in a stage.
UNETS = {"plain": ("unet", "convs_per_stage"), "residual": ("residual_unet", "blocks_per_stage")}

_PYRAMID, _ENCODER = "pyramid.", "encoder."


def of_detector(network: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by which a detector has the encoder of a U-Net.

    Args:
        network: name, one of `ENCODERS`, and arguments of the U-Net.
    """
    encoder, arguments = ENCODERS[network["name"]], network["arguments"]
    units = arguments.get(UNETS[encoder][1])
    return _said(encoder=encoder, units_per_stage=units, conv_bias=arguments.get("conv_bias"))


def of_unet(network: Mapping[str, Any]) -> dict[str, Any]:
    """Return name and arguments of the U-Net that has the encoder of a detector."""
    arguments = network["arguments"]
    name, units = UNETS[arguments.get("encoder", "plain")]
    given = {units: arguments.get("units_per_stage"), "conv_bias": arguments.get("conv_bias")}
    return {"name": name, "arguments": _said(**given)}


def renamed(state: Mapping[str, Tensor], own: Collection[str]) -> Mapping[str, Tensor]:
    """Give the encoder in a file the names that it has in a network.

    Args:
        state: the file's weights.
        own: names of the network's.
    """
    ours, theirs = _is_pyramid(own), _is_pyramid(state)
    if ours == theirs:
        return state
    if ours:
        return {(_PYRAMID + k if k.startswith(_ENCODER) else k): v for k, v in state.items()}
    within = _PYRAMID + _ENCODER
    return {(k.removeprefix(_PYRAMID) if k.startswith(within) else k): v for k, v in state.items()}


def _is_pyramid(names: Collection[str]) -> bool:
    return any(name.startswith(_PYRAMID + _ENCODER) for name in names)


def _said(**arguments: Any) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if value is not None}
