"""Segmentation networks in 2D and 3D, and how any network is found by name.

The classes load on first use, so that `medseg.networks.needs` can be read without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medseg.networks.attention_unet import AttentionUNet
    from medseg.networks.deepmedic import DeepMedic
    from medseg.networks.dilated_unet import DilatedUNet
    from medseg.networks.highres_net import HighResNet
    from medseg.networks.mednext import MedNeXt
    from medseg.networks.residual_unet import ResidualUNet
    from medseg.networks.segresnet import SegResNet
    from medseg.networks.swin_unetr import SwinUNETR
    from medseg.networks.unet import UNet
    from medseg.networks.unet_plus_plus import UNetPlusPlus
    from medseg.networks.unetr import UNETR

__all__ = [
    "UNETR",
    "AttentionUNet",
    "DeepMedic",
    "DilatedUNet",
    "HighResNet",
    "MedNeXt",
    "ResidualUNet",
    "SegResNet",
    "SwinUNETR",
    "UNet",
    "UNetPlusPlus",
]

_HOMES = {
    "UNet": "medseg.networks.unet",
    "ResidualUNet": "medseg.networks.residual_unet",
    "DilatedUNet": "medseg.networks.dilated_unet",
    "AttentionUNet": "medseg.networks.attention_unet",
    "UNetPlusPlus": "medseg.networks.unet_plus_plus",
    "SegResNet": "medseg.networks.segresnet",
    "SwinUNETR": "medseg.networks.swin_unetr",
    "UNETR": "medseg.networks.unetr",
    "MedNeXt": "medseg.networks.mednext",
    "HighResNet": "medseg.networks.highres_net",
    "DeepMedic": "medseg.networks.deepmedic",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
