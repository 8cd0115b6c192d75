"""Segmentation networks in 2D and 3D, and how any network is found by name.

The classes load on first use, so that `medseg.networks.needs` can be read without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medseg.networks.dilated_unet import DilatedUNet
    from medseg.networks.residual_unet import ResidualUNet
    from medseg.networks.unet import UNet

__all__ = ["DilatedUNet", "ResidualUNet", "UNet"]

_HOMES = {
    "UNet": "medseg.networks.unet",
    "ResidualUNet": "medseg.networks.residual_unet",
    "DilatedUNet": "medseg.networks.dilated_unet",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
