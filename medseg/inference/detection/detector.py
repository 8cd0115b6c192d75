"""From an image to the boxes of the objects in it, on the image's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from medseg.data.case import Volume
from medseg.data.prepare.moving_boxes import restore_boxes
from medseg.data.prepare.preprocess import preprocess
from medseg.geometry.boxes import Boxes
from medseg.inference import checkpoint as checkpoints
from medseg.inference import folds
from medseg.inference.detection.finders import Finder, finder_of
from medseg.inference.detection.keeping import KeepRule
from medseg.inference.detection.locator import Locator
from medseg.inference.detection.looks import BoxWindow, stretching
from medseg.inference.detection.outlines import (
    Outlined,
    Segmentation,
    WithoutMask,
    outlined,
    require_outlines,
)
from medseg.inference.detection.result import Detections
from medseg.inference.detection.rule_of_run import AskedRule, rule_of
from medseg.inference.device import autocast, choose_device, windows_at_once
from medseg.inference.images import Frame
from medseg.inference.predictor import Predictor
from medseg.labels import LabelScheme
from medseg.planning.plan import PreprocessingPlan


class Detector(Locator):
    """Preprocesses an image, looks for objects with one or several networks, brings boxes back.

    Args:
        network: one network or several (the folds of a run), see `medseg.tasks.DetectionTask`;
            moved to ``device`` and put into evaluation mode.
        labels: the classes are its ``foreground``.
        preprocessing: how images are brought to the networks' grid.
        finder: turns what a network says into boxes.
        window: how an image is looked at.
        keep: which boxes are kept; ``None``: all.
        channels: names of the input channels, for messages.
        device: ``auto`` takes CUDA where there is one.
        precision: as for `medseg.inference.Predictor`.

    Raises:
        InputError: ``device`` is not available.
    """

    def __init__(
        self,
        network: nn.Module | Sequence[nn.Module],
        *,
        labels: LabelScheme,
        preprocessing: PreprocessingPlan,
        finder: Finder,
        window: BoxWindow,
        keep: KeepRule | None = None,
        channels: Sequence[str] = (),
        device: str | torch.device = "auto",
        precision: str = "auto",
    ) -> None:
        self.device = choose_device(device)
        usual = "bf16-mixed" if self.device.type == "cuda" else "32"
        self.precision = usual if precision == "auto" else precision
        networks = [network] if isinstance(network, nn.Module) else list(network)
        if not networks:
            raise ValueError("a detector needs at least one network")
        self.networks = [one.to(self.device).eval() for one in networks]
        self.labels, self.preprocessing = labels, preprocessing
        self.finder, self.channels = finder, tuple(channels)
        self.keep, self.window = keep or KeepRule(), window

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str | torch.device = "auto",
        trust: Sequence[str] = (),
        overlap: float | None = None,
        mirror: bool | Literal["auto"] | Sequence[int] | None = None,
        batch_size: int | None = None,
        precision: str = "auto",
        keep: AskedRule | None = None,
        score: float | None = None,
    ) -> Detector:
        """Rebuild a detector from a run folder (all its folds), a fold's folder or a checkpoint.

        Args:
            path: see `medseg.inference.checkpoint.find`.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, …
            trust: top-level packages whose networks may be imported.
            overlap: see `BoxWindow`; default: as the recipe says.
            mirror: which axes are mirrored, too; default: as the recipe says.
            batch_size: windows at once; default: as the recipe says.
            precision: as of the training, ``32``, ``bf16-mixed`` or ``16-mixed``.
            keep: which boxes are kept: ``auto``: as the ``detection.yaml`` of the run says, if it
                has one; ``none``: all are; another such file; or a rule. ``None``: as the recipe
                says (``inference.postprocessing``), which is ``auto`` or ``none``.
            score: from which score a box counts as found, whatever ``keep`` says of that.

        Raises:
            InputError: see `medseg.inference.checkpoint.read`; the folds do not fit together; what
                is kept is for other classes; or ``score`` is not in ``[0, 1]``.
        """
        found = folds.read_together(path, task="detection")
        first, where = found[0], choose_device(device)
        rule = rule_of(found, path, keep)
        networks = [checkpoints.build_network(each, trust=trust) for each in found]
        return cls(
            networks,
            labels=first.labels,
            preprocessing=first.plan.preprocessing,
            finder=finder_of(networks[0], first.plan.anchors, first.detection),
            window=BoxWindow(
                first.plan.patch_size,
                overlap=first.inference.get("overlap", 0.5) if overlap is None else overlap,
                batch_size=windows_at_once(
                    batch_size or first.inference.get("batch_size"), first.plan.batch_size, where
                ),
                mirror_axes=folds.mirror_axes(first, mirror),
                threshold=first.detection["overlap"],
                least=first.detection["min_visible"],
                **stretching(networks[0], first.plan.patch_size, first.plan.batch_size),
            ),
            keep=rule if score is None else rule.from_score(score, first.labels.foreground),
            channels=first.channels,
            device=where,
            precision=first.precision if precision == "auto" else precision,
        )

    @property
    def frame(self) -> Frame:
        """What is assumed about an array that does not say where it lies."""
        plan = self.preprocessing
        return Frame(len(plan.normalisation), plan.spacing, plan.orientation, self.channels)

    @torch.inference_mode()
    def locate(self, volume: Volume) -> Detections:
        """Return all boxes in a volume, best first, in voxel edges of its own grid."""
        prepared = preprocess(volume, self.preprocessing)
        finds = [partial(self._find, network) for network in self.networks]
        found = self.window(finds, torch.from_numpy(prepared.image), device=self.device)
        corners = restore_boxes(prepared.record, found.corners.double().numpy())
        boxes = Boxes(corners, found.classes.numpy(), found.scores.double().numpy())
        return Detections(boxes.clip(volume.grid.shape), volume.grid, self.labels.foreground)

    def instances(
        self,
        image: Any,
        *,
        spacing: Sequence[float] | float | None = None,
        affine: np.ndarray | None = None,
        without_mask: WithoutMask = "drop",
    ) -> Outlined:
        """Find the objects in one image and what each looks like, by networks that segment as well.

        Args:
            image: as of a call.
            spacing: as of a call.
            affine: as of a call.
            without_mask: see `medseg.inference.detection.outlines.outlined`.

        Raises:
            InputError: the image is not one for these networks, they find boxes only, or their
                regions overlap.
        """
        require_outlines(self.networks, self.labels)
        volume = self.volume_of(image, spacing=spacing, affine=affine)
        return self.outline(volume, self.find(volume), without_mask=without_mask)

    def outline(
        self, volume: Volume, found: Detections, *, without_mask: WithoutMask = "drop"
    ) -> Outlined:
        """Outline what was found in a volume, with one more pass of the networks.

        Raises:
            InputError: see `instances`.
        """
        index, _ = self.segmenter.segment(volume)
        return outlined(found, index, self.labels, keep=self.keep, without_mask=without_mask)

    @cached_property
    def segmenter(self) -> Predictor:
        """What segments with the same networks, on the same windows.

        Raises:
            InputError: they find boxes only, or their regions overlap.
        """
        require_outlines(self.networks, self.labels)
        return Predictor(
            [Segmentation(network) for network in self.networks],
            labels=self.labels,
            preprocessing=self.preprocessing,
            patch_size=self.window.patch_size,
            overlap=self.window.overlap,
            mirror=tuple(self.window.mirror_axes),
            batch_size=self.window.batch_size,
            channels=self.channels,
            device=self.device,
            precision=self.precision,
        )

    def _find(self, network: nn.Module, windows: torch.Tensor) -> Any:
        with autocast(self.device, self.precision):
            return self.finder(network, windows)
