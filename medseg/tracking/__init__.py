"""Where numbers, pictures and files of a run go: CSV, TensorBoard, W&B, and the terminal.

Names load when they are used: importing this package imports neither Lightning nor wandb.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medseg.tracking.artifacts import log_artifacts
    from medseg.tracking.bottleneck import BottleneckCallback
    from medseg.tracking.box_files import draw_boxes
    from medseg.tracking.box_overlays import box_overlay
    from medseg.tracking.curves import CurvesCallback
    from medseg.tracking.froc_curve import draw_froc
    from medseg.tracking.loggers import build_loggers, close_loggers
    from medseg.tracking.opening import OpenLoggers
    from medseg.tracking.options import CsvOptions as csv
    from medseg.tracking.options import TensorBoardOptions as tensorboard
    from medseg.tracking.options import WandbOptions as wandb
    from medseg.tracking.overlay_callback import OverlayCallback
    from medseg.tracking.overlays import overlay
    from medseg.tracking.progress import TrainingProgress
    from medseg.tracking.throughput import ThroughputCallback

__all__ = [
    "BottleneckCallback",
    "CurvesCallback",
    "OpenLoggers",
    "OverlayCallback",
    "ThroughputCallback",
    "TrainingProgress",
    "box_overlay",
    "build_loggers",
    "close_loggers",
    "csv",
    "draw_boxes",
    "draw_froc",
    "log_artifacts",
    "overlay",
    "tensorboard",
    "wandb",
]

# name -> module, attribute; csv, tensorboard and wandb are what a recipe may say about each
_HOMES = {
    "BottleneckCallback": ("bottleneck", "BottleneckCallback"),
    "CurvesCallback": ("curves", "CurvesCallback"),
    "OverlayCallback": ("overlay_callback", "OverlayCallback"),
    "ThroughputCallback": ("throughput", "ThroughputCallback"),
    "OpenLoggers": ("opening", "OpenLoggers"),
    "TrainingProgress": ("progress", "TrainingProgress"),
    "box_overlay": ("box_overlays", "box_overlay"),
    "build_loggers": ("loggers", "build_loggers"),
    "close_loggers": ("loggers", "close_loggers"),
    "csv": ("options", "CsvOptions"),
    "draw_boxes": ("box_files", "draw_boxes"),
    "draw_froc": ("froc_curve", "draw_froc"),
    "log_artifacts": ("artifacts", "log_artifacts"),
    "overlay": ("overlays", "overlay"),
    "tensorboard": ("options", "TensorBoardOptions"),
    "wandb": ("options", "WandbOptions"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)
