"""Read what a medseg checkpoint says about itself, without running anything that it holds."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medseg.errors import InputError
from medseg.inference.torch_file import load_tensors
from medseg.labels import LabelScheme
from medseg.planning.plan import Plan

SCHEMA = 1
"""Layout of the ``medseg`` record that this version writes and reads."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and what it needs to predict.

    Attributes:
        path: the file.
        network: ``{"name": …, "arguments": {…}}`` as `medseg.networks.registry.create` takes it.
        labels: what the outputs mean.
        plan: preprocessing and patch size.
        channels: names of the input channels, in order.
        inference: ``overlap`` and ``mirror`` of the training recipe, and the axes that training
            ``mirrored``.
        format: ``name`` and ``options`` of the data format, whose rule groups files into cases.
        precision: of the training, as Lightning names it; ``auto`` if the file does not say.
        recipe: the recipe as YAML text.
        cascade: of a second stage: ``use``, ``margin`` and ``classes`` of its guide, and where the
            ``first`` stage's run lies, relative to its own; else empty.
        version: the medseg that wrote the file.
        task: ``segmentation`` or ``detection``.
        detection: of a detector: how its output becomes boxes; else empty.
        state: the task's parameters; memory-mapped, so read on demand.
    """

    path: Path
    network: Mapping[str, Any]
    labels: LabelScheme
    plan: Plan
    channels: tuple[str, ...]
    inference: Mapping[str, Any]
    format: Mapping[str, Any]
    precision: str
    recipe: str
    cascade: Mapping[str, Any]
    version: str
    task: str
    detection: Mapping[str, Any]
    state: Mapping[str, Tensor] = field(repr=False)


def read(path: str | Path, *, task: str | None = "segmentation") -> Checkpoint:
    """Read a checkpoint with ``weights_only=True``: no code in it is run.

    Args:
        path: the file.
        task: what it must have been trained for; ``None``: anything.

    Raises:
        InputError: there is no such file; it is cut off, of another type, or not medseg's; it holds
            Python objects; its layout is of another version.
    """
    path = Path(path)
    content = load_tensors(path)
    record = content.get("medseg") if isinstance(content, Mapping) else None
    if not isinstance(record, Mapping):
        ours = isinstance(content, Mapping) and "pytorch-lightning_version" in content
        raise InputError(
            "this checkpoint was not written by medseg",
            file=path,
            expected="a record named 'medseg' with the network's arguments, labels and plan",
            found="a Lightning checkpoint without it" if ours else "weights without it",
            remedy="give a best.ckpt or last.ckpt that `medseg fit` wrote",
        )
    _check_version(path, record)
    _check_task(path, record, task)
    try:
        return Checkpoint(
            path=path,
            network={key: record["network"][key] for key in ("name", "arguments")},
            labels=LabelScheme.from_dict(record["labels"]),
            plan=Plan.from_dict(record["plan"]),
            channels=tuple(str(name) for name in record["channels"]),
            inference=dict(record.get("inference") or {}),
            format=_format(record.get("format")),
            precision=str(record.get("precision") or "auto"),
            recipe=str(record.get("recipe") or ""),
            cascade=dict(record.get("cascade") or {}),
            version=str(record.get("version", "unknown")),
            task=str(record["task"]),
            detection=dict(record.get("detection") or {}),
            state=dict(content["state_dict"].items()),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            "the checkpoint's medseg record is incomplete",
            file=path,
            found=f"{type(error).__name__}: {error}",
        ) from error


def _format(record: Any) -> dict[str, Any]:
    """Return name and options of a data format; a file that says nothing leaves it to the files."""
    found = {"name": "auto", "options": {}, **(record or {})}
    return {"name": str(found["name"]), "options": dict(found["options"])}


def find(path: str | Path, *, which: str = "best") -> list[Path]:
    """List the checkpoints that ``path`` means: one, or one per fold of a run.

    Args:
        path: a checkpoint; a run folder (``fold_*/checkpoints/best.ckpt``); one fold's folder.
        which: ``best`` or ``last``. A fold without a best checkpoint (it was stopped before its
            first validation) gives its last one, and a line in the log says so.

    Raises:
        InputError: nothing is there, or a folder holds no checkpoint.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            "there is no such run or checkpoint",
            file=path,
            expected="a run folder such as runs/quickstart, or a .ckpt file",
        )
    if path.is_file():
        return [path]
    if path.name != "checkpoints":
        folds = sorted(p for p in path.glob("fold_*/checkpoints") if p.is_dir())
    else:
        folds = [path]
    if not folds and (path / "checkpoints").is_dir():
        folds = [path / "checkpoints"]
    found = [file for fold in folds if (file := _of_fold(fold, which)) is not None]
    if not found:
        raise InputError(
            "this folder holds no checkpoint",
            file=path,
            expected=f"fold_*/checkpoints/{which}.ckpt in a run folder",
            remedy="train first (`medseg fit`), or give the checkpoint's own path",
        )
    return found


def averaged_state(checkpoint: Checkpoint, *, averaged: bool = True) -> dict[str, Tensor]:
    """Return the network's weights: the moving average where there is one, else the raw ones.

    Args:
        checkpoint: from `read`.
        averaged: ``False`` takes the raw weights in any case.

    Raises:
        InputError: the checkpoint holds no weights of a network.
    """
    # Before its first update the average holds the random start.
    started = int(checkpoint.state.get("averaged.n_averaged", 1)) > 0
    for prefix in ["averaged.module.", "network."] if averaged and started else ["network."]:
        state = {
            key.removeprefix(prefix).replace("_orig_mod.", ""): value
            for key, value in checkpoint.state.items()
            if key.startswith(prefix)
        }
        if state:
            return state
    raise InputError(
        "the checkpoint holds no weights of a network",
        file=checkpoint.path,
        expected="entries network.* or averaged.module.*",
        found=", ".join(sorted({key.split(".")[0] for key in checkpoint.state})) or "none",
    )


def weights_digest(checkpoint: Checkpoint) -> str:
    """Hash the weights that predict to a short text; equal ones share it, wherever they lie.

    Raises:
        InputError: the checkpoint holds no weights of a network.
    """
    found = hashlib.blake2b(digest_size=8)
    for name, value in sorted(averaged_state(checkpoint).items()):
        found.update(name.encode())
        found.update(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def build_network(
    checkpoint: Checkpoint, *, trust: Sequence[str] = (), averaged: bool = True
) -> nn.Module:
    """Rebuild the network with its weights, in evaluation mode, on the CPU.

    Args:
        checkpoint: from `read`.
        trust: top-level packages whose classes may be imported (the user's own networks).
        averaged: see `averaged_state`.

    Raises:
        InputError: the network is not known here, comes from a package that is not trusted, or does
            not fit the weights; or they are not finite.
    """
    from medseg.networks import registry

    state = averaged_state(checkpoint, averaged=averaged)
    name, arguments = checkpoint.network["name"], dict(checkpoint.network["arguments"])
    try:
        network = registry.create(name, arguments, trust=trust)
        network.load_state_dict(state)
    except InputError as error:
        raise InputError(
            f"the checkpoint's network cannot be rebuilt: {error.message}",
            file=checkpoint.path,
            expected=error.expected,
            found=error.found,
            remedy=error.remedy,
        ) from error
    except (RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"the weights do not fit the network {name!r} of this installation",
            file=checkpoint.path,
            expected=f"the network as it was when medseg {checkpoint.version} wrote the file",
            found=str(error).strip().split("\n\t")[0][:300],
        ) from error
    _require_finite(checkpoint.path, state)
    return network.eval()


def _require_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse weights that would make every mask empty without a word."""
    broken = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise InputError(
            "the checkpoint holds weights that are not finite numbers",
            file=path,
            found=f"{len(broken)} of {len(state)} tensors, for instance {broken[0]}",
            remedy="take the other one (best.ckpt, last.ckpt), or train again with a smaller "
            "optimizer.lr",
        )


def _check_version(path: Path, record: Mapping[str, Any]) -> None:
    schema, version = record.get("schema"), record.get("version", "unknown")
    if schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        raise InputError(
            f"the checkpoint was written by another version of medseg ({version})",
            file=path,
            expected=f"layout {SCHEMA}",
            found=f"layout {schema}",
            remedy="update medseg (pip install -U medseg)"
            if newer
            else f"predict with medseg {version}, or train again",
        )


# What networks are trained for, and what takes them.
_TASKS = {
    "detection": "it finds boxes: medseg.inference.detection.Detector, or medseg predict",
    "segmentation": "it segments: medseg.inference.Predictor, or medseg predict",
}


def _check_task(path: Path, record: Mapping[str, Any], wanted: str | None) -> None:
    found = str(record.get("task"))
    if found not in _TASKS or (wanted is not None and found != wanted):
        raise InputError(
            "the checkpoint is of another task",
            file=path,
            expected=wanted or " or ".join(_TASKS),
            found=found,
            remedy=_TASKS.get(found),
        )


def _of_fold(folder: Path, which: str) -> Path | None:
    wanted, last = folder / f"{which}.ckpt", folder / "last.ckpt"
    if wanted.is_file():
        return wanted
    if last.is_file():
        _log.warning("%s is absent; taking last.ckpt", wanted)
        return last
    return None
