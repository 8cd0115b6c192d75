"""Several detectors as one: what they find, joined on the image's own grid."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from medseg.data.case import Volume
from medseg.errors import InputError
from medseg.inference.detection.detector import Detector
from medseg.inference.detection.joining import join
from medseg.inference.detection.keeping import KeepRule
from medseg.inference.detection.locator import Locator
from medseg.inference.detection.result import Detections
from medseg.inference.detection.rule_of_run import AskedRule, rule_for
from medseg.inference.ensemble import require_same_images
from medseg.inference.images import Frame

_log = logging.getLogger(__name__)


class JoinedDetector(Locator):
    """Joins what detectors of different plans, networks or recipes find in an image.

    Each brings its boxes to the image's grid, and boxes that overlap become their mean, see
    `medseg.inference.detection.joining.join`. The folds of a run are one detector together.

    Args:
        members: the detectors. An array that does not say where it lies is taken as the first
            one's plan would have it.
        names: what to call them in messages, such as their folders.
        keep: which of the joined boxes are kept; ``None``: as the members' own rule says, if all
            have the same. Where they differ all boxes are kept, for the rules were chosen for other
            boxes, and the log says so.

    Raises:
        InputError: they do not take the same channels, or do not find the same classes.
    """

    def __init__(
        self,
        members: Sequence[Detector],
        *,
        names: Sequence[str] = (),
        keep: KeepRule | None = None,
    ) -> None:
        if not members:
            raise ValueError("there must be at least one detector")
        named = list(names) or [f"member {i}" for i in range(len(members))]
        for member, name in zip(members[1:], named[1:], strict=True):
            _require_alike(members[0], member, named[0], name)
        self.members, self.labels = tuple(members), members[0].labels
        self.keep = _common_rule(members) if keep is None else keep

    @classmethod
    def load(
        cls,
        paths: Sequence[str | Path],
        *,
        device: str | torch.device = "auto",
        trust: Sequence[str] = (),
        keep: AskedRule | None = None,
        score: float | None = None,
    ) -> JoinedDetector:
        """Rebuild detectors from run folders, folders of folds, or checkpoints, and join them.

        Args:
            paths: one per member; a run's folds are one member together.
            device: see `Detector.load`.
            trust: see `Detector.load`.
            keep: ``none``, a file or a rule; ``None`` and ``auto`` take the members' own, if all
                have the same.
            score: from which score a joined box counts as found.

        Raises:
            InputError: see `Detector.load`, and above.
        """
        members = [Detector.load(path, device=device, trust=trust, keep=keep) for path in paths]
        rule = None
        if keep not in (None, "auto"):
            rule = rule_for(keep or "none", paths[0], members[0].labels.foreground)
        joined = cls(members, names=[str(path) for path in paths], keep=rule)
        if score is not None:
            joined.keep = joined.keep.from_score(score, joined.labels.foreground)
        return joined

    @property
    def frame(self) -> Frame:
        """What is assumed about an array that does not say where it lies."""
        return self.members[0].frame

    def locate(self, volume: Volume) -> Detections:
        """Return all joined boxes, best first, in voxel edges of the volume's own grid."""
        found = [member.locate(volume) for member in self.members]
        return join(found, threshold=self.members[0].window.threshold)


def _common_rule(members: Sequence[Detector]) -> KeepRule:
    first, *others = (member.keep for member in members)
    if all(rule == first for rule in others):
        return first
    _log.warning(
        "the runs keep different boxes (detection.yaml), each chosen for its own: of the joined "
        "ones all are kept"
    )
    return KeepRule()


def _require_alike(first: Detector, other: Detector, name: str, other_name: str) -> None:
    """Raise unless two detectors read the same channels and find the same classes."""
    if sorted(first.labels.foreground) != sorted(other.labels.foreground):
        raise InputError(
            "runs that are joined must find the same classes",
            file=other_name,
            expected=f"as {name}: {', '.join(first.labels.foreground)}",
            found=", ".join(other.labels.foreground),
        )
    require_same_images(first.frame, other.frame, name, other_name)
