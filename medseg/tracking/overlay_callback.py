"""Show the same validation cases at each validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl

from medseg.tracking.box_overlays import box_overlay
from medseg.tracking.box_pictures import BoxPicture
from medseg.tracking.overlays import overlay


class OverlayCallback(pl.Callback):
    """Sends overlays of the first validation cases to the loggers that show pictures.

    It reads what `SegmentationTask.validation_step` returns: ``image (B, C, *S)``, ``preds`` and
    ``target`` ``(B, *S)``, ``case_ids``; or `DetectionTask`'s, with a `Boxes` for each image under
    ``boxes`` and ``target_boxes`` instead of masks. Loggers decide how many they want (``images``)
    and under which name a case is shown; Lightning's own WandbLogger gets four, by case id.
    """

    def __init__(self) -> None:
        self._pictures: list[tuple[str, np.ndarray | BoxPicture]] = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin anew."""
        self._pictures = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw while the volumes are at hand, and keep the pictures only."""
        if not trainer.is_global_zero or not isinstance(outputs, Mapping):
            return
        wanted = max((images_wanted(logger) for logger in trainer.loggers), default=0)
        case_ids = outputs.get("case_ids") or ()
        for i in range(min(len(outputs["image"]), wanted - len(self._pictures))):
            number = len(self._pictures)
            case_id = str(case_ids[i]) if i < len(case_ids) else f"validation case {number}"
            self._pictures.append((case_id, _picture(outputs, i, _classes(pl_module))))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hand the pictures over."""
        pictures, self._pictures = self._pictures, []
        if trainer.sanity_checking or not pictures:
            return
        for logger in trainer.loggers:
            shown = pictures[: images_wanted(logger)]
            if not shown:
                continue
            boxes = [pair for pair in shown if isinstance(pair[1], BoxPicture)]
            if boxes and hasattr(logger, "log_boxes"):
                logger.log_boxes(boxes, trainer.global_step)
                continue
            drawn = [(case_id, _drawn(picture)) for case_id, picture in shown]
            if hasattr(logger, "log_overlays"):
                logger.log_overlays(drawn, trainer.global_step)
            else:
                logger.log_image(  # type: ignore[attr-defined]
                    "overlays",
                    [picture for _, picture in drawn],
                    step=trainer.global_step,
                    caption=[case_id for case_id, _ in drawn],
                )


def images_wanted(logger: Any) -> int:
    """Return how many cases a logger shows."""
    if hasattr(logger, "log_overlays"):
        return int(logger.images)
    return 4 if hasattr(logger, "log_image") else 0


def _picture(outputs: Mapping[str, Any], i: int, classes: Sequence[str]) -> np.ndarray | BoxPicture:
    image = _array(outputs["image"][i])
    if "boxes" in outputs:
        target = outputs.get("target_boxes")
        return box_overlay(
            image, None if target is None else target[i], outputs["boxes"][i], classes=classes
        )
    target = outputs.get("target")
    return overlay(
        image, None if target is None else _array(target[i]), _array(outputs["preds"][i])
    )


def _drawn(picture: np.ndarray | BoxPicture) -> np.ndarray:
    return picture.drawn() if isinstance(picture, BoxPicture) else picture


def _classes(pl_module: Any) -> Sequence[str]:
    return tuple(getattr(getattr(pl_module, "labels", None), "foreground", ()))


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().float().cpu().numpy() if hasattr(tensor, "detach") else tensor
