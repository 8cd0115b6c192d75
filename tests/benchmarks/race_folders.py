"""The folders of a race: training cases, test images without their labels, and nnU-Net's layout."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SUFFIX = ".nii.gz"


def cases_of(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Return case id -> image and label of a Decathlon folder, by id."""
    from medseg.data import formats

    dataset = formats.read(folder, format="decathlon")
    return {c.id: (c.images[0], c.label) for c in dataset.cases if c.label is not None}


def fold_of(folder: Path, fold: int, folds: int) -> tuple[list[str], list[str]]:
    """Return the ids of a fold's training and held-out cases, dealt out as medseg does."""
    from medseg.data import formats
    from medseg.data.splits import make_splits

    split = make_splits(formats.read(folder, format="decathlon").cases, folds)[fold]
    return split["train"], split["val"]


def labels_of(folder: Path) -> dict[str, int]:
    """Return name -> value of a Decathlon folder's labels, background included."""
    from medseg.data import formats

    return dict(formats.read(folder, format="decathlon").labels.values)


def some_of(ids: Iterable[str], count: int | None) -> list[str]:
    """Return so many ids, spread evenly over the sorted list; all of them for ``None``."""
    from medseg.data.splits import evenly

    return evenly(sorted(ids), count)


def decathlon_folder(source: Path, ids: Iterable[str], target: Path) -> Path:
    """Make a Decathlon folder of some cases of another, by links."""
    description = _described(source)
    cases = cases_of(source)
    entries = []
    for case in ids:
        image, label = cases[case]
        entry = {"image": f"./imagesTr/{case}{SUFFIX}", "label": f"./labelsTr/{case}{SUFFIX}"}
        _link(image, target / entry["image"])
        _link(label, target / entry["label"])
        entries.append(entry)
    description |= {"training": entries, "test": [], "numTraining": len(entries), "numTest": 0}
    (target / "dataset.json").write_text(json.dumps(description, indent=1))
    return target


def bare_images(source: Path, ids: Iterable[str], target: Path) -> Path:
    """Make a folder of images alone: whoever predicts them cannot look at their labels."""
    cases = cases_of(source)
    for case in ids:
        _link(cases[case][0], target / f"{case}{SUFFIX}")
    return target


def nnunet_dataset(source: Path, target: Path) -> Path:
    """Write a Decathlon folder as nnU-Net's raw data set: a file per channel, its own json."""
    description = _described(source)
    channels = description["modality"]
    for case, (image, label) in cases_of(source).items():
        nnunet_channels(image, case, target / "imagesTr", channels=len(channels))
        _link(label, target / "labelsTr" / f"{case}{SUFFIX}")
    ours = {
        "channel_names": dict(channels),
        "labels": labels_of(source),
        "numTraining": len(cases_of(source)),
        "file_ending": SUFFIX,
    }
    (target / "dataset.json").write_text(json.dumps(ours, indent=1))
    return target


def nnunet_channels(image: Path, case: str, target: Path, *, channels: int) -> None:
    """Write an image as nnU-Net names it, ``CASE_0000`` and so on."""
    if channels == 1:
        _link(image, target / f"{case}_0000{SUFFIX}")
        return
    import nibabel

    target.mkdir(parents=True, exist_ok=True)
    whole: Any = nibabel.load(image)
    for i, channel in enumerate(nibabel.four_to_three(whole)):
        nibabel.save(channel, target / f"{case}_{i:04d}{SUFFIX}")


def _described(folder: Path) -> dict[str, Any]:
    state: Mapping[str, Any] = json.loads((folder / "dataset.json").read_text())
    return dict(state)


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it where links cannot go: another disk, another file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
