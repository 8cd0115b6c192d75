"""From an image to the boxes of the objects in it, on the scanner's grid.

The classes load on first use, so that the pure functions beside them come without their imports.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medseg.inference.detection.detector import Detector
    from medseg.inference.detection.joined import JoinedDetector
    from medseg.inference.detection.result import Detections

__all__ = ["Detections", "Detector", "JoinedDetector"]

_HOMES = {"Detections": "result", "Detector": "detector", "JoinedDetector": "joined"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
