"""The checkpoints of one run, read so that their networks predict together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from medseg.errors import InputError
from medseg.inference import checkpoint as checkpoints
from medseg.inference.checkpoint import Checkpoint
from medseg.inference.postprocess import stale
from medseg.inference.postprocess.file import Asked, asked_by_recipe, beside, steps_for
from medseg.inference.postprocess.steps import MaskStep
from medseg.planning.mirroring import mirrored_in_prediction

_log = logging.getLogger(__name__)


def read_together(path: str | Path, *, task: str = "segmentation") -> list[Checkpoint]:
    """Read the checkpoints of a run folder (all its folds), a fold's folder or one checkpoint.

    Args:
        path: see `medseg.inference.checkpoint.find`.
        task: what they must have been trained for.

    Raises:
        InputError: see `medseg.inference.checkpoint.read`; or what they say may not be averaged.
    """
    first, *others = (checkpoints.read(file, task=task) for file in checkpoints.find(path))
    for other in others:
        _require_same(first, other)
    return [first, *others]


def steps_of(
    found: Sequence[Checkpoint], path: str | Path, asked: Asked | None
) -> tuple[MaskStep, ...]:
    """Give the steps of postprocessing that go with checkpoints.

    Args:
        found: the checkpoints.
        path: where they were looked for.
        asked: what somebody wants; ``None``: what the run's recipe says now, or else the
            checkpoint. With ``auto`` the log says if the run's file was chosen before they were
            trained anew.

    Raises:
        InputError: see `medseg.inference.postprocess.file.steps_for`.
    """
    if asked is None:
        asked = asked_by_recipe(path)
    if asked is None:
        asked = found[0].inference.get("postprocessing", "auto")
    steps = steps_for(asked, path, found[0].labels)
    file = beside(path) if asked == "auto" else None
    if file is not None and (said := stale.notice(file, found)):
        _log.warning("%s", said)
    return steps


def mirror_axes(found: Checkpoint, asked: bool | str | Sequence[int] | None) -> tuple[int, ...]:
    """Choose the axes to mirror along; an older checkpoint does not say which it has seen.

    Args:
        found: the checkpoint.
        asked: axes; ``True``: those that training mirrored; ``auto``: left–right, if it did;
            ``None``: as the checkpoint says.
    """
    if asked is None:
        asked = found.inference.get("mirror", False)
    if not isinstance(asked, bool | str):
        return tuple(asked)
    seen = found.inference.get("mirrored")
    if seen is None:
        return tuple(range(found.plan.spatial_dims)) if asked is True else ()
    return mirrored_in_prediction(asked, found.plan.preprocessing.orientation, seen)


def _require_same(first: Checkpoint, other: Checkpoint) -> None:
    """Raise unless the logits of two checkpoints may be averaged."""
    for name, a, b in (
        ("labels", first.labels.to_dict(), other.labels.to_dict()),
        ("channels", first.channels, other.channels),
        ("preprocessing", first.plan.preprocessing, other.plan.preprocessing),
        ("patch_size", first.plan.patch_size, other.plan.patch_size),
        ("anchors", first.plan.anchors, other.plan.anchors),
        ("first stage", dict(first.cascade), dict(other.cascade)),
    ):
        if a != b:
            raise InputError(
                f"checkpoints of one run differ in their {name}, so they cannot be averaged",
                file=other.path,
                expected=f"{a}, as in {first.path}",
                found=str(b),
                remedy="give one checkpoint's own path",
            )
