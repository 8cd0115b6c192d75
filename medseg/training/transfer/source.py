"""What weights come from: a medseg checkpoint, a MONAI bundle, or a file of tensors."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from medseg.errors import InputError
from medseg.inference import checkpoint as checkpoints
from medseg.inference.cascade import guidance_of
from medseg.inference.torch_file import load_tensors
from medseg.labels import LabelScheme
from medseg.planning.plan import Plan
from medseg.training.transfer.inputs import Channels

# Under which names training scripts put the weights beside optimiser and epoch.
_NESTED = ("state_dict", "network_weights", "model_state_dict", "model", "net", "network")


@dataclass(frozen=True)
class Source:
    """Weights, and what their file says about them.

    Attributes:
        path: the file.
        kind: what kind of file it is, in words.
        state: the weights, by the names in the file.
        channels: names of the input channels, in order; ``None``: unknown.
        classes: names of the outputs, in order, the background included; ``None``: unknown.
        regions: whether the outputs are overlapping regions; ``None``: unknown.
        neighbours: slices on either side that are channels, too (2.5D).
        guides: classes of a cascade's first stage whose masks are channels behind the image's.
        network: ``{"name": …, "arguments": {…}}``, as far as the file says.
        structure: ``features``, ``strides`` and ``kernels`` of a plan, as far as the file says.
        plan: of the training, if it was medseg's.
        notes: what was odd about the file, in sentences.
        task: what they were trained for.
    """

    path: Path
    kind: str
    state: Mapping[str, Tensor] = field(repr=False)
    channels: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    regions: bool | None = None
    neighbours: int = 0
    guides: tuple[str, ...] = ()
    network: Mapping[str, Any] | None = None
    structure: Mapping[str, Any] = field(default_factory=dict)
    plan: Plan | None = None
    notes: tuple[str, ...] = ()
    task: str = "segmentation"

    @property
    def inputs(self) -> Channels:
        """What the input channels are."""
        return Channels(self.channels, self.guides, self.neighbours)


def read(path: str | Path, *, fold: int | str | None = None) -> Source:
    """Read weights to start from; nothing in the file is run.

    Args:
        path: a run folder, a fold's folder or a checkpoint of medseg; a folder of a MONAI bundle;
            a file of tensors (``.pt``, ``.pth``, ``.ckpt``, ``.safetensors``).
        fold: of a run with several folds, the one to take.

    Raises:
        InputError: nothing is there; the file is none of these, is damaged, or holds Python objects
            or a program; a run has several folds and ``fold`` is none of them.
    """
    from medseg.training.transfer import bundle

    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(
            "there is nothing to transfer from",
            file=path,
            expected="a run folder, a .ckpt, a MONAI bundle's folder, or a file of weights",
        )
    if path.is_dir():
        if (path / "models").is_dir() or (path / "configs").is_dir():
            return bundle.read(path)
        path = _one_of(checkpoints.find(path), path, fold)
    elif path.parent.name == "models" and (path.parents[1] / "configs").is_dir():
        return bundle.read(path.parents[1], weights=path)
    content = load(path)
    if isinstance(content, Mapping) and isinstance(content.get("medseg"), Mapping):
        return of_checkpoint(checkpoints.read(path, task=None))
    return Source(path, "weights", tensors_in(content, path))


def load(path: Path) -> Any:
    """Return the content of a file of weights: tensors and plain values only.

    Raises:
        InputError: it is a program, holds Python objects, is damaged or another type of file.
    """
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix == ".ts" or _is_program(path):
        raise InputError(
            "a TorchScript file is a program, and reading its weights would run it",
            file=path,
            expected="a file of weights that torch.save wrote",
            remedy="if you trust it, write its weights yourself: "
            "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pt')",
        )
    try:
        return load_tensors(path)
    except InputError as error:
        if "Python objects" in error.message:
            error.remedy = (
                "if you trust it, write its weights alone: "
                "torch.save(torch.load(FILE, weights_only=False)['state_dict'], 'weights.pt'), "
                "under whichever key they are"
            )
        raise


def tensors_in(content: Any, path: Path) -> dict[str, Tensor]:
    """Find the weights in what a file holds, be it they alone or a training's checkpoint.

    Raises:
        InputError: there is no mapping of names to tensors.
    """
    options = []
    if isinstance(content, Mapping):
        options = [content[key] for key in _NESTED if key in content]
    for option in (*options, content):  # beside the weights a checkpoint may hold a tensor or two
        if isinstance(option, Mapping):
            found = {str(key): value for key, value in option.items() if isinstance(value, Tensor)}
            if found:
                return found
    raise InputError(
        "the file holds no weights",
        file=path,
        expected=f"names and tensors, alone or under one of {', '.join(_NESTED)}",
        found=f"keys {', '.join(map(str, list(content)[:8]))}"
        if isinstance(content, Mapping)
        else f"a {type(content).__name__}",
    )


def of_checkpoint(found: checkpoints.Checkpoint) -> Source:
    """Return the (averaged) weights of a medseg checkpoint."""
    network, plan, labels = found.network, found.plan, found.labels
    if "network" in network["arguments"]:  # the wrapper of a network of slices
        network = network["arguments"]["network"]
    values, guidance = plan.to_dict(), guidance_of(found)
    return Source(
        path=found.path,
        kind=f"checkpoint of medseg {found.version}",
        state=checkpoints.averaged_state(found),
        channels=found.channels,
        classes=class_names(
            labels, found.task, anchors=int(network["arguments"].get("num_anchors", 1))
        ),
        regions=bool(labels.regions),
        neighbours=plan.neighbours,
        guides=() if guidance is None else guidance.masks(labels),
        network=network,
        structure={key: values[key] for key in ("features", "strides", "kernels")},
        plan=plan,
        task=found.task,
    )


def class_names(labels: LabelScheme, task: str, *, anchors: int = 1) -> tuple[str, ...]:
    """Name the outputs of a network by the classes that they are for.

    Args:
        labels: of its training.
        task: likewise; a detector has an output for each class of each anchor.
        anchors: at each place.
    """
    if task != "detection":
        return tuple(labels.regions or labels.values)
    if anchors == 1:
        return labels.foreground
    return tuple(f"{name} in anchor {a + 1}" for a in range(anchors) for name in labels.foreground)


def _one_of(found: list[Path], run: Path, fold: int | str | None) -> Path:
    if len(found) == 1:
        return found[0]
    for file in found:
        if file.parents[1].name == f"fold_{fold}":
            return file
    folds = [file.parents[1].name for file in found]
    raise InputError(
        "this run has several folds, and it is not said which to start from",
        file=run,
        expected="one of them" if fold is None else f"fold_{fold}, which this run trains, too",
        found=", ".join(folds),
        remedy=f"give one: {run / folds[0]}",
    )


def _is_program(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(part.count("/") and part.split("/")[1] == "code" for part in archive.namelist())


def _safetensors(path: Path) -> dict[str, Tensor]:
    if importlib.util.find_spec("safetensors") is None:
        raise InputError(
            "reading this file needs a library that is not installed",
            file=path,
            remedy="pip install safetensors",
        )
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            "this is no file of safetensors, or it is damaged", file=path, found=str(error)
        ) from error
