"""Write a phantom data set in the layout of its kind, whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.atomic import cannot_write
from medseg.data.phantoms import brats, cells, layouts, mr, nodules
from medseg.errors import InputError, did_you_mean

Progress = Callable[[int, int], None]

MARKER = "phantom.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Kind:
    """One kind of phantom.

    Attributes:
        description: what it is, in words.
        layout: the data format it is written in.
        cases: how many by default.
        shape: size of a case by default.
        make: ``(seed, shape=…)`` -> image and label, and what else there is to tell of a case.
        save: writes one case in its layout: ``(folder, index, *made, order)``.
        smallest: voxels that each axis needs at least.
    """

    description: str
    layout: str
    cases: int
    shape: tuple[int, ...]
    make: Callable[..., tuple[Any, ...]]
    save: Callable[..., None]
    smallest: int = 16


KINDS: dict[str, Kind] = {
    "mr": Kind(
        "one MR channel, two touching structures; Decathlon layout",
        "decathlon",
        30,
        mr.SHAPE,
        mr.make_mr_case,
        layouts.save_decathlon,
    ),
    "brats": Kind(
        "four MR modalities, nested tumour regions; BraTS layout",
        "brats",
        12,
        brats.SHAPE,
        brats.make_brats_case,
        layouts.save_brats,
    ),
    "cells": Kind(
        "2D grey pictures of cells; images/ and labels/",
        "folders",
        16,
        cells.SHAPE,
        cells.make_cells_case,
        layouts.save_pictures,
    ),
    "nodules": Kind(
        "CT-like lungs with nodules, and vessels that resemble them; Decathlon layout",
        "decathlon",
        40,
        nodules.SHAPE,
        nodules.make_nodules_case,
        layouts.save_nodules,
        24,
    ),
}


def write(
    kind: str,
    out: str | Path,
    *,
    cases: int | None = None,
    seed: int = 0,
    shape: Sequence[int] | None = None,
    naming: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a data set of one kind.

    The folder is made beside ``out`` and renamed, so ``out`` never holds half a data set.

    Args:
        kind: a key of `KINDS`.
        out: the data set's folder, absent or empty.
        cases: how many; ``None``: as the kind has it.
        seed: the data set's seed.
        shape: size of a case; ``None``: as the kind has it.
        naming: for ``brats`` the year of the file names and labels, ``2021`` (ET = 4, the default)
            or ``2023`` (ET = 3).
        overwrite: replace a phantom that is there already; any other folder is left alone.
        progress: is told the number of cases done and of all.

    Returns:
        The folder.

    Raises:
        InputError: an unknown kind or naming, a senseless number, ``out`` is in use, or the disk is
            full.
    """
    order = _order(kind, cases, seed, shape, naming)
    target = Path(out).expanduser().absolute()
    _require_free(target, overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(
            tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
        )
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        data = beside / "data"
        data.mkdir()
        _fill(data, order, progress)
        (data / MARKER).write_text(json.dumps(order, indent=1) + "\n", encoding="utf-8")
        if target.exists():
            target.rename(beside / "old")
        data.rename(target)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise InputError(
            "the disk is full", file=target, remedy="free some space; nothing was kept"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


def ensure(
    kind: str,
    out: str | Path,
    *,
    cases: int | None = None,
    seed: int = 0,
    shape: Sequence[int] | None = None,
    naming: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Return ``out`` if it is this very phantom, write it if the folder is absent or empty.

    Raises:
        InputError: the folder holds something else, or as `write`.
    """
    target = Path(out).expanduser().absolute()
    order = _order(kind, cases, seed, shape, naming)
    if _marker(target) == order:
        return target
    return write(
        kind, target, cases=cases, seed=seed, shape=shape, naming=naming, progress=progress
    )


def _order(
    kind: str, cases: int | None, seed: int, shape: Sequence[int] | None, naming: str | None
) -> dict[str, Any]:
    """Check a request and return it as plain data: what the marker file holds."""
    if kind not in KINDS:
        raise InputError(
            f"no phantom {kind!r}; {did_you_mean(kind, KINDS)}".rstrip("; "),
            expected=", ".join(KINDS),
        )
    spec = KINDS[kind]
    number = spec.cases if cases is None else cases
    size = spec.shape if shape is None else tuple(int(n) for n in shape)
    if number < 1 or seed < 0:
        raise InputError(
            "a phantom needs at least one case and a seed that is not negative",
            found=f"cases {number}, seed {seed}",
        )
    if len(size) != len(spec.shape) or min(size) < spec.smallest:
        raise InputError(
            f"the phantom {kind!r} needs {len(spec.shape)} sizes of at least {spec.smallest}",
            found=str(size),
        )
    if kind != "brats" and naming is not None:
        raise InputError("only the phantom 'brats' has a naming", found=f"{kind}, {naming}")
    naming = "2021" if kind == "brats" and naming is None else naming
    if naming is not None and str(naming) not in layouts.NAMINGS:
        raise InputError("unknown naming", expected=" or ".join(layouts.NAMINGS), found=str(naming))
    return {
        "schema": _SCHEMA,
        "kind": kind,
        "cases": int(number),
        "seed": int(seed),
        "shape": list(size),
        "naming": None if naming is None else str(naming),
    }


def _marker(folder: Path) -> Any:
    try:
        return json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _require_free(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise InputError("is a file", file=target, expected="a folder to write to")
    if not any(target.iterdir()):
        return
    if _marker(target) is None:
        raise InputError("exists and is not a phantom", file=target, remedy="choose another folder")
    if not overwrite:
        raise InputError(
            "exists and is not empty", file=target, remedy="choose another folder, or overwrite it"
        )


def _fill(folder: Path, order: dict[str, Any], progress: Progress | None) -> None:
    spec = KINDS[order["kind"]]
    for index in range(order["cases"]):
        seed = [order["seed"], index, list(KINDS).index(order["kind"])]
        made = spec.make(seed, shape=order["shape"])
        spec.save(folder, index, *made, order)
        if progress is not None:
            progress(index + 1, order["cases"])
    if spec.layout == "decathlon":
        layouts.describe_decathlon(folder, order)
