"""``detection.yaml``: which boxes of a run are kept, where it lies, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medseg.errors import InputError, did_you_mean
from medseg.inference.detection.keeping import KeepRule
from medseg.inference.postprocess.file import recorded, run_of

NAME = "detection.yaml"

CHOSEN, GAINS, CLASSES, NETWORKS = "# chosen: ", "# gains: ", "# classes: ", "# networks: "
"""How the lines begin that remember what was chosen, why, for which classes, by whose boxes."""


@dataclass(frozen=True)
class KeepFile:
    """What a ``detection.yaml`` holds.

    Attributes:
        rule: as it stands in the file.
        chosen: the rule that was once chosen; ``None`` where nothing says so.
        gains: what each step brought, in words, by `step_key`.
        classes: names of those it was chosen for; ``None`` likewise.
        networks: of each fold whose boxes chose, a digest of its network's weights.
    """

    rule: KeepRule
    chosen: KeepRule | None = None
    gains: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    networks: Mapping[str, str] = field(default_factory=dict)

    @property
    def edited(self) -> bool:
        """Whether a person changed the rule, or wrote it."""
        return self.rule != self.chosen


def step_key(step: str, of: str = "") -> str:
    """Name a step: ``nms``, or ``score of nodule``."""
    return f"{step} of {of}" if of else step


def read(path: Path) -> KeepFile:
    """Read a file.

    Raises:
        InputError: it is not there, or does not say which boxes are kept.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8")
        state = YAML(typ="safe", pure=True).load(text)["detection"]
    except (YAMLError, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "there is no such file"
            if not path.exists()
            else "this does not say which boxes are kept",
            file=path,
            expected="detection: {nms: IOU, min_size: {CLASS: MM}, score: {CLASS: SCORE}}",
            found=f"{type(error).__name__}: {error}" if path.exists() else None,
            remedy="mend it, have it chosen anew (medseg postprocess RUN --overwrite), or predict "
            "with --postprocessing none",
        ) from error
    try:
        rule = KeepRule.from_dict(state)
    except InputError as error:
        error.file = path
        raise
    gains, classes = recorded(text, GAINS), recorded(text, CLASSES)
    networks = recorded(text, NETWORKS)
    return KeepFile(
        rule,
        _chosen(text),
        gains if isinstance(gains, dict) else {},
        tuple(map(str, classes)) if isinstance(classes, list) else None,
        networks if isinstance(networks, dict) else {},
    )


def read_for(path: Path, classes: Sequence[str]) -> KeepRule:
    """Read the rule of a file that is to be applied to boxes of some classes.

    Raises:
        InputError: see `read`; or it was chosen for other classes, or names one that there is not.
    """
    found = read(path)
    if found.classes is not None and sorted(found.classes) != sorted(classes):
        raise InputError(
            "what is kept was chosen for other classes",
            file=path,
            expected=", ".join(classes),
            found=", ".join(found.classes),
            remedy="have it chosen anew (medseg postprocess RUN --overwrite), or predict with "
            "--postprocessing none",
        )
    for name in (*found.rule.min_size, *found.rule.score):
        if name not in classes:
            raise InputError(
                f"there is no class {name!r}",
                file=path,
                expected=", ".join(classes),
                found=name,
                remedy=did_you_mean(name, classes) or None,
            )
    return found.rule


def beside(path: str | Path) -> Path | None:
    """Find the file of the run that a run folder, a fold's folder or a checkpoint belongs to."""
    file = run_of(path) / NAME
    return file if file.is_file() else None


def _chosen(text: str) -> KeepRule | None:
    """Read what was chosen; of a record that someone broke everything counts as an edit."""
    found = recorded(text, CHOSEN)
    try:
        return None if found is None else KeepRule.from_dict(found)
    except (InputError, TypeError):
        return None
