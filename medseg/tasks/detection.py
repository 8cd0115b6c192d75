"""Detection as a LightningModule, usable with or without a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from medseg.data.feed.batch import Batch
from medseg.detection.decoding import Found
from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.inference.detection.finders import Finder
from medseg.inference.detection.looks import BoxWindow
from medseg.labels import IGNORED, LabelScheme
from medseg.losses import region_masks
from medseg.losses.detection_terms import DetectionTerms
from medseg.metrics.average_precision import precision_over_iou
from medseg.metrics.detection_case import DetectionCase
from medseg.metrics.known_mean import known_mean
from medseg.ranks import gathered
from medseg.score_names import SCORE_NAMES
from medseg.tasks.training_task import TrainingTask
from medseg.training.compiling import uncompiled
from medseg.training.schedule import Schedule


class DetectionTask(TrainingTask):
    """Trains a network to find objects, and scores it on whole images.

    Batches are `medseg.data.feed.Batch` with ``boxes``, as `SegmentationDataModule` makes them of
    cases that have them: image ``(B, C, *S)`` float, and one `Boxes` per patch, whose class -1 says
    that an object is seen too little of to be learnt or to be wrong.

    It logs ``train/loss`` and its terms, ``lr``, ``val/map`` (mean average precision at an IoU of
    0.1 to 0.5) and ``val/map/NAME`` per class.

    Args:
        network: maps ``(B, C, *S)`` to a `medseg.detection.output.DetectionOutput`.
        labels: the classes are its ``foreground``, in order.
        loss: maps output, boxes and classes to `DetectionTerms`, see `medseg.losses.DetectionLoss`
            and `CentrePointLoss`; of a network that segments, too, label indices ``(B, 1, *S)`` and
            the voxels that count as well.
        finder: turns what the network says of windows into boxes.
        window: how whole images are looked at.
        spacing: mm per axis, for the scores.
        optimizer, schedule, ema, lr_decay, description: see `TrainingTask`.
    """

    kind = "detection"
    score_name = SCORE_NAMES["detection"]

    def __init__(
        self,
        network: nn.Module,
        labels: LabelScheme,
        *,
        loss: Callable[..., DetectionTerms],
        finder: Finder,
        window: BoxWindow,
        spacing: Sequence[float] = (),
        optimizer: Callable[[Iterable[Any]], Optimizer] | None = None,
        schedule: Schedule | None = None,
        ema: float | None = 0.999,
        lr_decay: float = 1.0,
        description: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            network,
            labels,
            optimizer=optimizer,
            schedule=schedule,
            ema=ema,
            lr_decay=lr_decay,
            description=description,
        )
        self.loss, self.finder, self.window = loss, finder, window
        self.spacing = tuple(float(mm) for mm in spacing)
        self._scored: list[DetectionCase] = []

    def forward(self, image: Tensor) -> Any:
        """Return what the averaged weights say (while training the raw ones)."""
        return (self.network if self.training else self.used)(image)

    def batch_loss(self, batch: Batch) -> Tensor:
        """Return the loss of one batch.

        Raises:
            InputError: it has no boxes.
        """
        output = self.network(batch.image)
        boxes, classes = self._targets(batch)
        if getattr(output, "segmentation", None) is None:
            terms = self.loss(output, boxes, classes)
        else:
            terms = self.loss(output, boxes, classes, *self._masks(batch))
        if self._logs() and self._trainer is not None:
            for name in ("classes", "boxes", "segmentation"):
                value = getattr(terms, name)
                if value is not None:
                    self.log(f"train/loss/{name}", value.detach(), batch_size=len(boxes))
        return terms.total

    @torch.no_grad()
    def find(self, image: Tensor) -> list[Found]:
        """Return the boxes in whole images ``(B, C, *S)``, in their voxel edges, best first."""
        network = self.used
        network.eval()
        with uncompiled(network):
            find = partial(self.finder, network)
            return [self.window([find], one, device=self.device) for one in image]

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Find objects in whole images; return images, boxes and case ids for overlays."""
        found = self.find(batch.image)
        preds = [
            Boxes(one.corners.cpu().numpy(), one.classes.cpu().numpy(), one.scores.cpu().numpy())
            for one in found
        ]
        self._scored += [
            DetectionCase.against(
                mine, true, classes=len(self.labels.foreground), spacing=self.spacing
            )
            for mine, true in zip(preds, _boxes_of(batch), strict=True)
        ]
        return {
            "image": batch.image,
            "boxes": preds,
            "target_boxes": batch.boxes,
            "case_ids": batch.case_ids,
        }

    def on_validation_epoch_end(self) -> None:
        """Score all cases together, those of other processes too."""
        parts = gathered([_plain(case) for case in self._scored])
        cases = [_case(plain, spacing=self.spacing) for part in parts for plain in part]
        self._scored = []
        names = self.labels.foreground
        scores = [precision_over_iou(cases, label=label) for label in range(len(names))]
        for name, score in zip(names, scores, strict=True):
            self.log(f"val/map/{name}", score)
        # A class that no case has is no part of the mean.
        self.log("val/map", float(known_mean(scores)), prog_bar=True)

    def predict_step(self, batch: Any, batch_idx: int) -> list[Found]:
        """Return the boxes in whole images."""
        return self.find(batch.image)

    def _targets(self, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        device = batch.image.device
        boxes = _boxes_of(batch)
        return (
            [torch.from_numpy(one.corners).float().to(device) for one in boxes],
            [torch.from_numpy(one.classes).to(device) for one in boxes],
        )

    def _masks(self, batch: Batch) -> tuple[Tensor | None, ...]:
        """Give what a segmentation learns from: the target, and which voxels count."""
        if batch.label is None:
            return (None,)
        label = batch.label
        target = region_masks(label, self.labels.region_indices()) if self.labels.regions else label
        return (target,) if self.labels.ignore is None else (target, label != IGNORED)


def _boxes_of(batch: Batch) -> list[Boxes]:
    if batch.boxes is None:
        raise InputError(
            "the batch has no boxes to find",
            expected="cases with boxes",
            found=f"cases {', '.join(batch.case_ids)}",
            remedy="give MemoryCase(…, boxes=Boxes(…)), or prepare a data set with objects",
        )
    return batch.boxes


def _plain(case: DetectionCase) -> list[list]:
    """Turn a case into lists, to travel to other processes."""
    return [
        case.preds.corners.tolist(),
        case.preds.classes.tolist(),
        case.scores.tolist(),
        case.reference.corners.tolist(),
        case.reference.classes.tolist(),
        case.ignored.tolist(),
        [case.reference.ndim],
    ]


def _case(plain: list[list], *, spacing: Sequence[float]) -> DetectionCase:
    corners, classes, scores, true_corners, true_classes, ignored, (ndim,) = plain
    preds = Boxes(np.array(corners).reshape(-1, 2 * ndim), np.array(classes), np.array(scores))
    true = Boxes(np.array(true_corners).reshape(-1, 2 * ndim), np.array(true_classes))
    return DetectionCase(preds, true, np.array(ignored, dtype=bool), spacing=spacing)
