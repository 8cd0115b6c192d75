"""Several predictors as one: what they say, averaged on the image's own grid."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from medseg.data.case import Volume
from medseg.errors import InputError
from medseg.inference.decode import RunningDecoder, activate_in_place
from medseg.inference.images import Frame
from medseg.inference.postprocess.file import Asked, steps_for
from medseg.inference.postprocess.steps import MaskStep, Postprocessor
from medseg.inference.predictor import Predictor
from medseg.inference.segmenter import Segmenter
from medseg.labels import LabelScheme
from medseg.machine import memory_available

_log = logging.getLogger(__name__)

Average = Literal["probabilities", "logits"]


class Ensemble(Segmenter):
    """Averages what predictors of different plans, networks or recipes say of an image.

    Each predictor averages the logits of its own networks, the folds of a run, which share plan,
    loss and length of training. Between predictors either is averaged, brought to the image's grid
    first. Logits of different recipes have different scales: one that was trained for longer, or by
    cross-entropy alone, says the same with larger numbers and outvotes the others. Probabilities
    give each the same weight, so they are the default; nnU-Net does the same (F. Isensee et al.,
    "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation",
    Nature Methods 18, 2021). Averaged logits are the normalised geometric mean of probabilities:
    one member that is very sure of a class, or against it, decides.

    Predictors run one after the other, and one output at a time is added to the sum. The sum alone
    holds all outputs on the image's grid; it lies in a temporary file if it would take more than
    half of the memory that is free.

    Args:
        members: the predictors. An array that does not say where it lies is taken as the first
            one's plan would have it.
        names: what to call them in messages, such as their folders.
        average: ``probabilities`` or ``logits``.
        postprocessing: of the masks that they make together; ``None``: their own, if all have the
            same. Where they differ none is taken, for it was chosen for other masks, and the log
            says so.

    Raises:
        InputError: they do not take the same channels, or do not give the same labels.
    """

    def __init__(
        self,
        members: Sequence[Predictor],
        *,
        names: Sequence[str] = (),
        average: Average = "probabilities",
        postprocessing: Sequence[MaskStep] | None = None,
    ) -> None:
        if not members:
            raise ValueError("an ensemble needs at least one predictor")
        if average not in get_args(Average):
            raise ValueError(f"average must be one of {get_args(Average)}, not {average!r}")
        named = list(names) or [f"member {i}" for i in range(len(members))]
        for member, name in zip(members[1:], named[1:], strict=True):
            _require_alike(members[0], member, named[0], name)
        self.members, self.average = tuple(members), average
        self.labels = members[0].labels
        steps = _common_steps(members) if postprocessing is None else postprocessing
        self.postprocess = Postprocessor(steps, self.labels)

    @classmethod
    def load(
        cls,
        paths: Sequence[str | Path],
        *,
        device: str | torch.device = "auto",
        trust: Sequence[str] = (),
        average: Average = "probabilities",
        postprocessing: Asked | None = None,
    ) -> Ensemble:
        """Rebuild an ensemble from run folders, folders of folds, or checkpoints.

        Args:
            paths: one per member; a run's folds are one member together.
            device: see `Predictor.load`.
            trust: see `Predictor.load`.
            average: ``probabilities`` or ``logits``, see above.
            postprocessing: ``none``, a file or steps; ``None`` and ``auto`` take the members' own,
                if all have the same.

        Raises:
            InputError: see `Predictor.load`, and above.
        """
        own = postprocessing in (None, "auto")
        of_each = postprocessing if own else "none"
        members = [
            Predictor.load(path, device=device, trust=trust, postprocessing=of_each)
            for path in paths
        ]
        steps = None
        if not own:
            steps = steps_for(postprocessing or "none", paths[0], members[0].labels)
        names = [str(path) for path in paths]
        return cls(members, names=names, average=average, postprocessing=steps)

    @property
    def frame(self) -> Frame:
        """What is assumed about an array that does not say where it lies."""
        return self.members[0].frame

    def segment(
        self, volume: Volume, *, probabilities: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return label indices on the volume's own grid, and probabilities if they are wanted.

        The indices are as decoded, before postprocessing.
        """
        of_logits = self.average == "logits"
        total = scratch((self.labels.num_outputs, *volume.grid.shape))
        for member in self.members:
            outputs = member.each_logit(volume) if of_logits else member.each_probability(volume)
            for mean, channel in zip(total, outputs, strict=True):
                mean += channel / len(self.members)
        running = RunningDecoder(self.labels, threshold=0.0 if of_logits else 0.5)
        for mean in total:
            running.add(torch.from_numpy(mean))
        if probabilities and of_logits:
            activate_in_place(total, self.labels)
        return running.index.numpy(), total if probabilities else None


def _common_steps(members: Sequence[Predictor]) -> tuple[MaskStep, ...]:
    first, *others = (member.postprocess.steps for member in members)
    if all(steps == first for steps in others):
        return first
    _log.warning(
        "the members have other postprocessing each, which is for their own masks: none is applied "
        "(choose one for them together: medseg choose)"
    )
    return ()


def scratch(shape: Sequence[int]) -> np.ndarray:
    """Make a float32 array of zeros, in a temporary file if memory is short of it.

    The file has no name, and is gone with the array.
    """
    free = memory_available()
    if free is None or math.prod(shape) * 4 <= free / 2:
        return np.zeros(shape, dtype=np.float32)
    with tempfile.TemporaryFile(prefix="medseg-") as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=tuple(shape))


def _require_alike(first: Predictor, other: Predictor, name: str, other_name: str) -> None:
    """Raise unless two predictors read the same channels and mean the same by their outputs."""
    if _outputs(first.labels) != _outputs(other.labels):
        raise InputError(
            "an ensemble's members must have the same labels",
            file=other_name,
            expected=f"as in {name}: {_in_words(first.labels)}",
            found=f"{_in_words(other.labels)}; {_difference(first.labels, other.labels)}",
            remedy="average runs that were trained with the same data.labels and data.regions",
        )
    require_same_images(first.frame, other.frame, name, other_name)


def require_same_images(a: Frame, b: Frame, name: str, other_name: str) -> None:
    """Raise unless two members of an ensemble, called by their names, take the same images.

    Raises:
        InputError: they differ in axes or channels.
    """
    if len(a.spacing) != len(b.spacing):
        raise InputError(
            "an ensemble's members must take the same kind of image",
            file=other_name,
            expected=f"{len(a.spacing)}D images, as {name}",
            found=f"{len(b.spacing)}D images",
        )
    if a.channels != b.channels or _folded(a.names) != _folded(b.names):
        raise InputError(
            "an ensemble's members must take the same channels in the same order",
            file=other_name,
            expected=f"as {name}: {', '.join(a.names) or a.channels}",
            found=f"{', '.join(b.names) or b.channels}",
        )


def _outputs(labels: LabelScheme) -> tuple:
    """Give what decides the meaning of outputs; which voxels a training ignored does not."""
    return labels.values, labels.regions, labels.order


def _folded(names: Sequence[str]) -> list[str]:
    return [name.casefold() for name in names]


def _in_words(labels: LabelScheme) -> str:
    values = ", ".join(f"{name} {value}" for name, value in labels.values.items())
    regions = ", ".join(f"{name} {list(of)}" for name, of in labels.regions.items())
    return values + (f"; regions {regions}" if regions else "")


def _difference(first: LabelScheme, other: LabelScheme) -> str:
    """Say which labels, or else which regions, only one of two schemes has."""
    pairs: tuple[tuple[str, Mapping, Mapping], ...] = (
        ("labels", first.values, other.values),
        ("regions", first.regions, other.regions),
    )
    for what, a, b in pairs:
        lacks = ", ".join(f"{name} {value}" for name, value in a.items() if b.get(name) != value)
        adds = ", ".join(f"{name} {value}" for name, value in b.items() if a.get(name) != value)
        if lacks or adds:
            return f"{what} that it lacks: {lacks or 'none'}; that only it has: {adds or 'none'}"
    return "regions are decoded in another order"
