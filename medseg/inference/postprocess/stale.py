"""Whether networks were trained anew since their masks chose what is done to masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    files = [file for fold in there for file in checkpoints.find(fold)]
    return [checkpoints.read(file, task=None) for file in files]


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
    other = [] if content.edited else other_weights(content.networks, found)
    if not other:
        return None
    return (
        f"{file} was chosen by masks of other weights than {', '.join(other)} has; predict "
        "and choose anew: medseg run RECIPE --each-fold, or of one fold medseg run RECIPE and then "
        "medseg postprocess RUN"
    )


def other_weights(chosen_by: Mapping[str, str], found: Sequence[Checkpoint]) -> list[str]:
    """List the folds whose weights are not those that chose.

    Args:
        chosen_by: of each fold that had a part in the choice, a digest of its network's weights.
        found: checkpoints of the run.
    """
    if not chosen_by:
        return []
    now = networks(found)
    return [fold for fold in now if chosen_by.get(fold, now[fold]) != now[fold]]
