"""Which boxes are kept of those that the networks of a run find: as its file says, or all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from medseg.inference.checkpoint import Checkpoint
from medseg.inference.detection.keep_file import beside, read, read_for
from medseg.inference.detection.keeping import KeepRule
from medseg.inference.postprocess.file import asked_by_recipe
from medseg.inference.postprocess.stale import other_weights

AskedRule = str | Path | KeepRule
"""What is kept: ``auto``, ``none`` (all is), a ``detection.yaml``, or the rule itself."""

_log = logging.getLogger(__name__)


def rule_for(asked: AskedRule, path: str | Path, classes: Sequence[str]) -> KeepRule:
    """Give the rule that is asked for.

    Args:
        asked: ``auto``: that of the run's ``detection.yaml``, if it has one; ``none``: all boxes
            are kept; another such file; or the rule.
        path: the run, or a checkpoint of it.
        classes: names of the classes of its boxes.

    Raises:
        InputError: the file is no such file, or is for other classes.
    """
    if isinstance(asked, KeepRule):
        return asked
    if asked == "none":
        return KeepRule()
    file = beside(path) if asked == "auto" else Path(asked)
    return KeepRule() if file is None else read_for(file, classes)


def rule_of(found: Sequence[Checkpoint], path: str | Path, asked: AskedRule | None) -> KeepRule:
    """Give the rule that goes with checkpoints.

    Args:
        found: the checkpoints.
        path: where they were looked for.
        asked: what somebody wants; ``None``: what the run's recipe says now under
            ``inference.postprocessing``, or else the checkpoint. With ``auto`` the log says if the
            run's file was chosen before they were trained anew.

    Raises:
        InputError: see `rule_for`.
    """
    if asked is None:
        said = asked_by_recipe(path) or found[0].inference.get("postprocessing")
        asked = "none" if said == "none" else "auto"
    rule = rule_for(asked, path, found[0].labels.foreground)
    file = beside(path) if asked == "auto" else None
    if file is not None and (said := notice(file, found)):
        _log.warning("%s", said)
    return rule


def notice(file: Path, found: Sequence[Checkpoint]) -> str | None:
    """Say that a rule was chosen by boxes of other weights; ``None``: nothing is amiss.

    What a person wrote or changed is theirs, whatever was trained since.

    Args:
        file: the run's ``detection.yaml``.
        found: checkpoints of the run.

    Raises:
        InputError: the file cannot be read.
    """
    content = read(file)
    other = [] if content.edited else other_weights(content.networks, found)
    if not other:
        return None
    return (
        f"{file} was chosen by boxes of other weights than {', '.join(other)} has; predict and "
        "choose anew: medseg run RECIPE --each-fold, or of one fold medseg run RECIPE and then "
        "medseg postprocess RUN"
    )
