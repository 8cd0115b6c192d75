"""Whether networks were trained anew since their masks chose what is done to masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from medseg.inference import checkpoint as checkpoints
from medseg.inference.checkpoint import Checkpoint
from medseg.inference.postprocess.file import read


def networks(found: Iterable[Checkpoint]) -> dict[str, str]:
    """Give a digest of the weights of each checkpoint, by its fold's folder."""
    return {
        one.path.absolute().parent.parent.name: checkpoints.weights_digest(one) for one in found
    }


def of_folds(run: Path, folds: Iterable[str]) -> list[Checkpoint]:
    """Read the checkpoint of each fold that has one.

    Args:
        run: the run's folder.
        folds: names of folders in it.

    Raises:
        InputError: a checkpoint cannot be read.
    """
    there = [run / fold for fold in folds if any((run / fold / "checkpoints").glob("*.ckpt"))]
    return [checkpoints.read(file) for fold in there for file in checkpoints.find(fold)]


def notice(file: Path, found: Sequence[Checkpoint]) -> str | None:
    """Say that steps were chosen by masks of other weights; ``None``: nothing is amiss.

    Steps that a person wrote or changed are theirs, whatever was trained since, and of a fold that
    had no part in the choice nothing is known.

    Args:
        file: the run's ``postprocessing.yaml``.
        found: checkpoints of the run.

    Raises:
        InputError: the file cannot be read.
    """
    content = read(file)
    if content.edited or not content.networks:
        return None
    now = networks(found)
    other = [fold for fold in now if content.networks.get(fold, now[fold]) != now[fold]]
    if not other:
        return None
    return (
        f"{file} was chosen by masks of other weights than {', '.join(other)} has; predict "
        "and choose anew: medseg run RECIPE --each-fold, or of one fold medseg run RECIPE and then "
        "medseg postprocess RUN"
    )
