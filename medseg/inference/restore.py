"""Bring logits on the plan's grid back to the scanner's grid, one output at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from medseg.data.prepare.resampling import resample_channel
from medseg.data.prepare.steps import (
    Crop,
    Reorient,
    Resample,
    Step,
    invert_index_array,
    undo_crop,
    undo_reorient,
)
from medseg.inference.decode import RunningDecoder
from medseg.labels import LabelScheme

# A sigmoid of it is 1 - 1e-7. Were it endless, one member of an ensemble that crops could never be
# outvoted by those that do not.
_CERTAIN = 16.0


def restore(logits: Tensor, record: Sequence[Step], scheme: LabelScheme) -> np.ndarray:
    """Turn logits on the prepared grid into label indices on the source's grid.

    Logits are interpolated linearly (nearest along an axis that was resampled so) and decoded as
    they come: beside ``logits`` about two channels of the source's size are in memory, however many
    classes there are. What was cropped away is background.

    Args:
        logits: ``(K, *S)`` on the prepared grid, on any device.
        record: the steps of preprocessing, as `preprocess` recorded them.
        scheme: what the outputs mean.

    Returns:
        uint8 indices ``(*source)``.

    Raises:
        ValueError: ``logits`` does not have the scheme's outputs or the record's grid, or the
            record resamples before another step of geometry.
    """
    resamples, rest = _split(logits, record, scheme)
    running = RunningDecoder(scheme)
    for k in range(len(logits)):
        running.add(_on_source_spacing(logits[k], resamples))
    return np.ascontiguousarray(invert_index_array(rest, running.index.cpu().numpy()))


def restore_probabilities(
    logits: Tensor, record: Sequence[Step], scheme: LabelScheme
) -> np.ndarray:
    """Turn logits on the prepared grid into probabilities on the source's grid.

    Softmax over the classes, or one sigmoid per region, taken after the interpolation, so that
    decoding them gives what `restore` gives. What was cropped away is background for certain.

    Args:
        logits: ``(K, *S)``; see `restore`.
        record: see `restore`.
        scheme: see `restore`.

    Returns:
        float32 ``(K, *source)``; all of it is in memory at once.

    Raises:
        ValueError: see `restore`.
    """
    return np.stack(list(probability_channels(logits, record, scheme)))


def probability_channels(
    logits: Tensor, record: Sequence[Step], scheme: LabelScheme
) -> Iterator[np.ndarray]:
    """Yield what `restore_probabilities` gives, float32 ``(*source)``, one output at a time.

    Beside ``logits`` about three channels of the source's size are in memory, however many classes
    there are; for that, logits of exclusive classes are interpolated twice, first for the sum that
    a softmax divides by.

    Raises:
        ValueError: see `restore`.
    """
    resamples, rest = _split(logits, record, scheme)
    total: Tensor | None = None
    if not scheme.regions:
        for channel in logits:
            restored = _on_source_spacing(channel.float(), resamples)
            total = restored if total is None else torch.logaddexp(total, restored)
    for k, channel in enumerate(logits):
        restored = _on_source_spacing(channel.float(), resamples)
        likely = restored.sigmoid() if total is None else (restored - total).exp()
        background = k == 0 and not scheme.regions
        yield _put_back(likely.cpu().numpy(), rest, outside=float(background))


def logit_channels(
    logits: Tensor, record: Sequence[Step], scheme: LabelScheme
) -> Iterator[np.ndarray]:
    """Yield the logits themselves on the source's grid, float32 ``(*source)``, one at a time.

    What was cropped away is background, as surely as a float32 probability below 1 can say it.

    Raises:
        ValueError: see `restore`.
    """
    resamples, rest = _split(logits, record, scheme)
    for k, channel in enumerate(logits):
        restored = _on_source_spacing(channel.float(), resamples)
        # For a softmax it is enough to raise the background.
        outside = -_CERTAIN if scheme.regions else _CERTAIN * (k == 0)
        yield _put_back(restored.cpu().numpy(), rest, outside=outside)


def _split(
    logits: Tensor, record: Sequence[Step], scheme: LabelScheme
) -> tuple[list[Resample], list[Step]]:
    """Part the record into its resampling, which logits need, and the rest, which indices stand."""
    if len(logits) != scheme.num_outputs:
        raise ValueError(f"{len(logits)} channels of logits for {scheme.num_outputs} outputs")
    geometry = [step for step in record if isinstance(step, Reorient | Crop | Resample)]
    if geometry and tuple(logits.shape[1:]) != geometry[-1].target.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} do not lie on the grid {geometry[-1].target.shape}"
        )
    first = next((i for i, s in enumerate(geometry) if isinstance(s, Resample)), len(geometry))
    resamples = [step for step in geometry[first:] if isinstance(step, Resample)]
    if len(resamples) != len(geometry) - first:
        raise ValueError("a record must not resample before it reorients or crops")
    return resamples, list(geometry[:first])


def _put_back(array: np.ndarray, rest: Sequence[Step], *, outside: float) -> np.ndarray:
    """Undo crop and orientation of one channel; what was cropped away is ``outside``."""
    for step in reversed(rest):
        if isinstance(step, Crop):
            array = undo_crop(array, step, fill=outside)
        elif isinstance(step, Reorient):
            array = undo_reorient(array, step)
    return np.ascontiguousarray(array)


def _on_source_spacing(channel: Tensor, resamples: Sequence[Resample]) -> Tensor:
    # On the CPU the matrix products of NumPy are twice as fast as torch's.
    array = channel.numpy() if channel.device.type == "cpu" else channel
    for step in reversed(resamples):
        array = resample_channel(array, step.source.shape, step.orders(1))
    return torch.from_numpy(array) if isinstance(array, np.ndarray) else array
