"""From an image to a mask of the same kind, on the same grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from medseg.data.case import Volume
from medseg.data.feed.guide import with_guide
from medseg.data.prepare.preprocess import preprocess
from medseg.data.prepare.steps import Step
from medseg.errors import InputError
from medseg.inference import cascade, folds
from medseg.inference import checkpoint as checkpoints
from medseg.inference.device import autocast, choose_device, windows_at_once
from medseg.inference.images import Frame
from medseg.inference.memory import require_out_of_memory, within_memory
from medseg.inference.postprocess.file import Asked
from medseg.inference.postprocess.steps import MaskStep, Postprocessor
from medseg.inference.restore import (
    logit_channels,
    probability_channels,
    restore,
    restore_probabilities,
)
from medseg.inference.segmenter import Segmenter
from medseg.inference.views import average_views, small_affine
from medseg.inference.window import SlidingWindow
from medseg.labels import LabelScheme
from medseg.planning.guidance import Guidance
from medseg.planning.plan import PreprocessingPlan


class Predictor(Segmenter):
    """Preprocesses an image, runs one or several networks and brings the mask back.

    Logits of several networks (the folds of a run) are averaged. Those that do not fit a GPU's
    memory are gathered on the CPU.

    Args:
        network: one network or several, ``(B, C, *S)`` to logits ``(B, K, *S)``; they are moved to
            ``device`` and put into evaluation mode.
        labels: what the outputs mean.
        preprocessing: how images are brought to the networks' grid.
        patch_size: voxels per axis.
        overlap: fraction of a window that its neighbour shares.
        mirror: average over flips of all axes, or of those named. Costs 2^axes the time.
        affine: ``small``: average over turned and zoomed copies, too; see
            `medseg.inference.views.small_affine`. Costs five times the time.
        postprocessing: what is done to masks, in this order.
        batch_size: windows per forward pass.
        channels: names of the input channels, for messages.
        device: ``auto`` takes CUDA where there is one.
        precision: of the networks, as for Lightning; mixed ones where the device computes in them,
            else float32. ``auto``: ``bf16-mixed`` on CUDA, ``32`` elsewhere.
        guidance: how the networks use what a first stage has found in an image; ``None``: they need
            no other stage.
        first_stage: what finds it, in images that do not bring it along (`Volume.guide`).

    Raises:
        InputError: ``device`` is not available, or a step of postprocessing is for other labels.
    """

    def __init__(
        self,
        network: nn.Module | Sequence[nn.Module],
        *,
        labels: LabelScheme,
        preprocessing: PreprocessingPlan,
        patch_size: Sequence[int],
        overlap: float = 0.5,
        mirror: bool | Sequence[int] = False,
        affine: Literal["none", "small"] = "none",
        postprocessing: Sequence[MaskStep] = (),
        batch_size: int = 1,
        channels: Sequence[str] = (),
        device: str | torch.device = "auto",
        precision: str = "auto",
        guidance: Guidance | None = None,
        first_stage: Segmenter | None = None,
    ) -> None:
        self.device = choose_device(device)
        usual = "bf16-mixed" if self.device.type == "cuda" else "32"
        self.precision = usual if precision == "auto" else precision
        networks = [network] if isinstance(network, nn.Module) else list(network)
        if not networks:
            raise ValueError("a predictor needs at least one network")
        self.networks = [net.to(self.device).eval() for net in networks]
        self.labels, self.preprocessing = labels, preprocessing
        self.postprocess = Postprocessor(postprocessing, labels)
        self.channels = tuple(channels)
        self.guidance, self.first_stage = guidance, first_stage
        axes = range(len(patch_size)) if mirror is True else mirror or ()
        self.window = SlidingWindow(
            patch_size, overlap=overlap, batch_size=batch_size, mirror_axes=tuple(axes)
        )
        if affine not in ("none", "small"):
            raise ValueError(f"affine must be 'none' or 'small', not {affine!r}")
        self.maps = small_affine(preprocessing.spacing, patch_size) if affine == "small" else ()

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str | torch.device = "auto",
        trust: Sequence[str] = (),
        overlap: float | None = None,
        mirror: bool | Literal["auto"] | Sequence[int] | None = None,
        affine: Literal["none", "small"] | None = None,
        postprocessing: Asked | None = None,
        batch_size: int | None = None,
        precision: str = "auto",
        first_stage: str | Path | None = None,
    ) -> Predictor:
        """Rebuild a predictor from a run folder (all its folds), a fold's folder or a checkpoint.

        That of a cascade's second stage runs the first as well.

        Args:
            path: see `medseg.inference.checkpoint.find`.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, …
            trust: top-level packages whose networks may be imported.
            overlap: overrides the checkpoint's.
            mirror: overrides the checkpoint's: axes; ``True``: those that training mirrored;
                ``auto``: left–right, if training mirrored it.
            affine: overrides the checkpoint's.
            postprocessing: overrides what the run's recipe says now, without one the checkpoint's:
                ``auto``: the ``postprocessing.yaml`` of the run, if it has one (the log says if
                it was chosen before the networks were trained anew); ``none``; another such file;
                or steps.
            batch_size: windows per forward pass, overrides the checkpoint's.
            precision: as for the constructor; ``auto`` is that of the training, if it is known.
            first_stage: run folder of a cascade's first stage, where that was moved.

        Raises:
            InputError: see `medseg.inference.checkpoint.read`; the folds do not fit together; the
                postprocessing is not for their labels; or the first stage is missing, or not of
                this one.
        """
        found = folds.read_together(path)
        first, where = found[0], choose_device(device)
        steps = folds.steps_of(found, path, postprocessing)
        guidance = cascade.guidance_of(first)
        earlier: Predictor | None = None
        if guidance is not None:
            folder = cascade.first_folder(first, first_stage)
            # Its masks were learnt from as they are.
            earlier = cls.load(folder, device=where, trust=trust, postprocessing="none")
            cascade.require_together(earlier, first, channels=earlier.channels, folder=folder)
        elif first_stage is not None:
            raise InputError("this run is no cascade, and needs no first stage", file=first.path)
        return cls(
            [checkpoints.build_network(each, trust=trust) for each in found],
            labels=first.labels,
            preprocessing=first.plan.preprocessing,
            patch_size=first.plan.patch_size,
            batch_size=windows_at_once(
                batch_size or first.inference.get("batch_size"), first.plan.batch_size, where
            ),
            channels=first.channels,
            device=where,
            precision=first.precision if precision == "auto" else precision,
            overlap=first.inference.get("overlap", 0.5) if overlap is None else overlap,
            mirror=folds.mirror_axes(first, mirror),
            affine=affine or first.inference.get("affine", "none"),
            postprocessing=steps,
            guidance=guidance,
            first_stage=earlier,
        )

    @property
    def frame(self) -> Frame:
        """What is assumed about an array that does not say where it lies."""
        plan = self.preprocessing
        return Frame(len(plan.normalisation), plan.spacing, plan.orientation, self.channels)

    def segment(
        self, volume: Volume, *, probabilities: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return label indices on the volume's own grid, and probabilities if they are wanted.

        The indices are as decoded, before postprocessing.
        """
        logits, record = self._run(volume)
        index = self._restored(restore, logits, record)
        likely = self._restored(restore_probabilities, logits, record) if probabilities else None
        return index, likely

    def clean_each(self, volumes: Iterable[Volume]) -> Iterator[np.ndarray]:
        """Yield the masks of `clean`, one image after the other, run in batches of one shape."""
        images = iter(volumes)
        while chunk := list(islice(images, self.window.batch_size)):
            prepared = [(volume, *self._prepared(volume)) for volume in chunk]
            # Each may have been cropped in its own way.
            for _, alike in groupby(prepared, key=lambda one: one[1].shape):
                batch = list(alike)
                logits = self._mean_logits(torch.stack([image for _, image, _ in batch]))
                for mine, (volume, _, record) in zip(logits, batch, strict=True):
                    index = self._restored(restore, mine, record)
                    yield self.postprocess(index, volume.grid.spacing)

    def predict_probabilities(self, volume: Volume) -> np.ndarray:
        """Return probabilities float32 ``(K, *S)`` on the volume's own grid."""
        return self._restored(restore_probabilities, *self._run(volume))

    def each_probability(self, volume: Volume) -> Iterator[np.ndarray]:
        """Yield the probability of one output after the other, float32 on the volume's own grid.

        Beside the logits a few of them are in memory at a time, see `probability_channels`.
        """
        return self._each(probability_channels, volume)

    def each_logit(self, volume: Volume) -> Iterator[np.ndarray]:
        """Yield the logits of one output after the other likewise, see `logit_channels`."""
        return self._each(logit_channels, volume)

    def logits(self, image: np.ndarray | Tensor) -> Tensor:
        """Return the networks' mean logits ``(K, *S)`` for a prepared image ``(C, *S)``.

        Raises:
            InputError: not even one patch fits the GPU's memory.
        """
        return self._mean_logits(torch.as_tensor(image)[None])[0]

    def _mean_logits(self, images: Tensor) -> Tensor:
        """Return `logits` ``(B, K, *S)`` of equally large images ``(B, C, *S)``."""
        tensor = images.float()

        @torch.inference_mode()
        def average(window: SlidingWindow, gather_on: torch.device) -> Tensor:
            def of_networks(image: Tensor) -> Tensor:
                with autocast(self.device, self.precision):
                    total = window(self.networks[0], image, device=self.device)
                    for network in self.networks[1:]:
                        total += window(network, image, device=self.device)
                return total.div_(len(self.networks))

            image = tensor.to(gather_on)
            return average_views(of_networks, image, self.maps, self.preprocessing.spacing)

        return within_memory(average, self.window, self.device)

    def _run(self, volume: Volume) -> tuple[Tensor, tuple[Step, ...]]:
        image, record = self._prepared(volume)
        return self.logits(image), record

    def _prepared(self, volume: Volume) -> tuple[Tensor, tuple[Step, ...]]:
        """Return what the networks take ``(C, *S)``, guide included, and how to go back."""
        seen = cascade.guided(volume, self.guidance, self.first_stage)
        prepared = preprocess(seen, self.preprocessing, guidance=self.guidance)
        image, guide = torch.from_numpy(prepared.image), prepared.guide
        if self.guidance is not None and guide is not None:
            image = with_guide(image, torch.from_numpy(guide), self.guidance.channels)
        return image, prepared.record

    def _each(
        self, channels: Callable[..., Iterator[np.ndarray]], volume: Volume
    ) -> Iterator[np.ndarray]:
        """Yield one restored output after the other; from where a GPU is full on, by the CPU."""
        logits, record = self._run(volume)
        done = 0
        try:
            for channel in channels(logits, record, self.labels):
                yield channel
                done += 1
            return
        except (RuntimeError, MemoryError) as error:
            require_out_of_memory(error, logits.device)
        yield from islice(channels(logits.cpu(), record, self.labels), done, None)

    def _restored(
        self, how: Callable[..., np.ndarray], logits: Tensor, record: tuple[Step, ...]
    ) -> np.ndarray:
        try:
            return how(logits, record, self.labels)
        except (RuntimeError, MemoryError) as error:
            require_out_of_memory(error, logits.device)
        return how(logits.cpu(), record, self.labels)
