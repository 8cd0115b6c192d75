"""From an image to a mask on the scanner's own grid.

The classes load on first use, so that the pure functions beside them come without their imports.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medseg.inference.ensemble import Ensemble
    from medseg.inference.prediction import Prediction
    from medseg.inference.predictor import Predictor

__all__ = ["Ensemble", "Prediction", "Predictor"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"medseg.inference.{name.lower()}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
