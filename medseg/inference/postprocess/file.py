"""``postprocessing.yaml``: where it lies, and which steps it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medseg.errors import InputError
from medseg.inference.postprocess.steps import MaskStep, Postprocessor
from medseg.labels import LabelScheme

NAME = "postprocessing.yaml"

Asked = str | Path | Sequence[MaskStep | Mapping[str, Any]]
"""Which postprocessing: ``auto``, ``none``, a file, or its steps."""

CHOSEN, GAINS, LABELS, NETWORKS = "# chosen: ", "# gains: ", "# labels: ", "# networks: "
"""How the lines begin that remember what was chosen, why, for which labels, by whose masks."""


@dataclass(frozen=True)
class PostprocessingFile:
    """What a ``postprocessing.yaml`` holds.

    Attributes:
        steps: as they stand in the file.
        chosen: the steps that were once chosen; ``None`` where nothing says so.
        gains: what each of these brought, in words.
        labels: of what they were chosen for, as `LabelScheme.to_dict` gives it; ``None`` likewise.
        networks: of each fold whose masks chose, a digest of its network's weights.
    """

    steps: tuple[MaskStep, ...]
    chosen: tuple[MaskStep, ...] | None = None
    labels: Mapping[str, Any] | None = None
    networks: Mapping[str, str] = field(default_factory=dict)
    gains: tuple[str, ...] = ()

    @property
    def edited(self) -> bool:
        """Whether a person changed the steps, or wrote them."""
        return self.steps != self.chosen


def read(path: Path) -> PostprocessingFile:
    """Read a file.

    Raises:
        InputError: it is not there, or does not hold steps.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8")
        content = YAML(typ="safe", pure=True).load(text)
        listed = content["inference"]["postprocessing"]
        listed = [] if listed == "none" else listed
        if not isinstance(listed, list):
            raise TypeError(f"postprocessing: {listed!r}")
    except (YAMLError, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "there is no such file" if not path.exists() else "this is no postprocessing file",
            file=path,
            expected="inference: {postprocessing: [{name: largest_component, of: NAME}, …]}",
            found=f"{type(error).__name__}: {error}" if path.exists() else None,
            remedy="mend it, or choose anew: medseg postprocess RUN --overwrite",
        ) from error
    try:
        steps = tuple(MaskStep.from_dict(item) for item in listed)
    except InputError as error:
        error.file = path
        raise
    labels, networks = recorded(text, LABELS), recorded(text, NETWORKS)
    gains = recorded(text, GAINS)
    return PostprocessingFile(
        steps,
        _chosen(text),
        labels if isinstance(labels, dict) else None,
        networks if isinstance(networks, dict) else {},
        tuple(map(str, gains)) if isinstance(gains, list) else (),
    )


def read_for(path: Path, scheme: LabelScheme) -> tuple[MaskStep, ...]:
    """Read the steps of a file that are to be taken on masks of some labels.

    Raises:
        InputError: see `read`; or they were chosen for other labels.
    """
    found = read(path)
    wanted = meaning(scheme.to_dict())
    if found.labels is not None and meaning(found.labels) != wanted:
        raise InputError(
            "this postprocessing was chosen for other labels",
            file=path,
            expected=json.dumps(wanted),
            found=json.dumps(meaning(found.labels)),
            remedy="choose anew (medseg postprocess RUN --overwrite), or predict with "
            "--postprocessing none",
        )
    try:
        Postprocessor(found.steps, scheme)
    except InputError as error:
        error.file = path
        raise
    return found.steps


def beside(path: str | Path) -> Path | None:
    """Find the file of the run that a run folder, a fold's folder or a checkpoint belongs to."""
    file = run_of(path) / NAME
    return file if file.is_file() else None


def asked_by_recipe(path: str | Path) -> Asked | None:
    """Read what the recipe of a run says, which may have changed since a checkpoint was written.

    Args:
        path: as for `beside`.

    Returns:
        ``None`` where there is no such recipe, or none that can be read.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = (run_of(path) / "recipe.yaml").read_text(encoding="utf-8")
        return YAML(typ="safe", pure=True).load(text)["inference"]["postprocessing"]
    except (YAMLError, OSError, ValueError, KeyError, TypeError):
        return None


def steps_for(asked: Asked, path: str | Path, scheme: LabelScheme) -> tuple[MaskStep, ...]:
    """Give the steps that are asked for.

    Args:
        asked: ``auto``: those of the run's file, if it has one; ``none``; a file; or the steps.
        path: the run, or a checkpoint of it.
        scheme: the labels of its masks.

    Raises:
        InputError: the file is no such file or is for other labels, or a step is not one for these.
    """
    if asked == "none":
        return ()
    if asked == "auto":
        file = beside(path)
        return () if file is None else read_for(file, scheme)
    if isinstance(asked, str | Path):
        return read_for(Path(asked), scheme)
    steps = [one if isinstance(one, MaskStep) else MaskStep.from_dict(one) for one in asked]
    return Postprocessor(steps, scheme).steps


def meaning(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Give what decides the meaning of masks; which voxels a training ignored does not."""
    return {key: value for key, value in labels.items() if key != "ignore"}


def run_of(path: str | Path) -> Path:
    """Find the folder of the run that a run folder, a fold's folder or a checkpoint belongs to."""
    folder = Path(path).absolute()
    folder = folder.parent if folder.is_file() else folder
    folder = folder.parent if folder.name == "checkpoints" else folder
    return folder.parent if folder.name.startswith("fold_") else folder


def recorded(text: str, name: str) -> Any:
    """Read what stands in a comment's line after its name; ``None`` where there is nothing."""
    line = next((line for line in text.splitlines() if line.startswith(name)), name + "null")
    try:
        return json.loads(line.removeprefix(name))
    except json.JSONDecodeError:
        return None


def _chosen(text: str) -> tuple[MaskStep, ...] | None:
    """Read what was chosen; of a record that someone broke every step counts as an edit."""
    found = recorded(text, CHOSEN)
    try:
        return None if found is None else tuple(MaskStep.from_dict(item) for item in found)
    except (InputError, TypeError):
        return None
