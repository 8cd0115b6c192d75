"""The first stage of a cascade: what a network needs of it, where it lies, what it finds."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from medseg.data.case import Volume
from medseg.errors import InputError
from medseg.inference.checkpoint import Checkpoint
from medseg.inference.segmenter import Segmenter
from medseg.labels import is_foreground
from medseg.planning.guidance import Guidance

_log = logging.getLogger(__name__)


def guidance_of(found: Checkpoint) -> Guidance | None:
    """Return how a checkpoint's network is guided; ``None``: it needs no other stage.

    Raises:
        InputError: the record is not one.
    """
    record = found.cascade
    if not record:
        return None
    try:
        use, classes = record["use"], int(record["classes"])
        if use not in ("channels", "crop", "both"):
            raise ValueError(f"use {use!r}")
        return Guidance(use, classes, float(record["margin"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            "the checkpoint does not say how its first stage is used",
            file=found.path,
            expected="use, classes and margin",
            found=f"{type(error).__name__}: {error}",
        ) from error


def guided(volume: Volume, guidance: Guidance | None, first_stage: Segmenter | None) -> Volume:
    """Let the first stage look at an image, unless somebody has, or nobody needs to.

    Args:
        volume: the image, perhaps with its guide.
        guidance: how a network is guided; ``None``: it is not.
        first_stage: what finds a guide.

    Raises:
        InputError: a guide is needed, and there is nothing to find it.
    """
    if guidance is None:
        return volume
    if volume.guide is None:
        if first_stage is None:
            raise InputError(
                "this network goes on from what a first stage has found, and there is none",
                remedy="load it with Predictor.load, which finds the first stage, too",
            )
        volume = volume._replace(guide=first_stage.segment(volume)[0])
    if guidance.crops and not is_foreground(volume.guide).any():
        files = getattr(volume.header, "files", None)
        name = f"{files[0].name}: " if files else ""
        _log.warning("%sthe first stage found nothing; the whole image is segmented", name)
    return volume


def first_folder(found: Checkpoint, given: str | Path | None = None) -> Path:
    """Find the run folder of the first stage.

    A checkpoint says where that lies relative to its own run's folder, so that the two can be moved
    together.

    Args:
        found: a checkpoint of a second stage.
        given: where it lies now, instead of what the checkpoint says.

    Raises:
        InputError: nothing is there.
    """
    if given is not None:
        return Path(given)
    # RUN/fold_0/checkpoints/best.ckpt
    run = found.path.absolute().parent.parent.parent
    folder = Path(os.path.normpath(run / str(found.cascade.get("first", "first"))))
    if not folder.exists():
        raise InputError(
            "the first stage of this cascade is not where it was when the second was trained",
            file=folder,
            expected=f"its run folder; {found.path} is the second stage",
            remedy="bring it back, move the two together, or say where it is: "
            "--first RUN (in Python: first_stage=RUN)",
        )
    return folder


def require_together(
    first: Segmenter, second: Checkpoint, *, channels: Sequence[str], folder: Path
) -> None:
    """Make sure that one stage says what the other was trained on.

    Args:
        first: the first stage.
        second: of the second stage.
        channels: names of the first stage's input channels.
        folder: of the first stage, for messages.

    Raises:
        InputError: their labels or their channels differ.
    """
    for what, found, expected in (
        ("labels", dict(first.labels.values), dict(second.labels.values)),
        ("channels", _folded(channels), _folded(second.channels)),
    ):
        if found != expected:
            raise InputError(
                f"the two stages of this cascade have different {what}",
                file=folder,
                expected=f"{expected}, as in {second.path}",
                found=str(found),
                remedy="name the first stage that the second was trained with",
            )


def _folded(names: Sequence[str]) -> list[str]:
    return [str(name).casefold() for name in names]
