"""Loose files and folders become cases for prediction, by the rule of a format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from medseg.data.case import Case
from medseg.data.formats import brats, decathlon, files, nnunet, series
from medseg.data.formats.case_ids import with_groups
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.registry import module_of
from medseg.errors import InputError


def group(
    paths: Sequence[str | Path],
    *,
    format: str,
    channels: Sequence[str],
    options: Mapping[str, Any] | None = None,
) -> tuple[Case, ...]:
    """Group files and folders into cases for prediction, by a format's rule.

    Decathlon: a file is a case. BraTS: same name before the modality's ending. nnU-Net: same name
    before ``_0000``. Folders: same ``{case}`` in the image pattern. Datalist: its rows. ``auto``
    takes BraTS's or nnU-Net's rule where all names fit it, else a file is a case. A video, also one
    that lies directly in a folder, is a case by any rule; and so is, of one channel, each DICOM
    series of a folder without other images.

    Raises:
        InputError: a path is missing, a folder has no image, a case lacks channels (which ones and
            what was found is said), or two cases share an id.
    """
    chosen = FormatOptions.parse(options)
    inputs = [files.from_home(str(p)) for p in paths]
    module = None if format == "auto" else module_of(format)
    absent = [str(p) for p in inputs if not p.exists()]
    if absent or not inputs:
        raise InputError(
            f"{files.count(len(absent), 'input')} cannot be found"
            if absent
            else "no input is given",
            found=files.first_ten(absent) or None,
        )
    cases, others = _videos(inputs)
    if len(channels) == 1:
        scans, others = _series(others)
        cases += scans
    module = module or _rule_for(others, tuple(channels))
    if others:
        cases += module.group(others, channels=tuple(channels), options=chosen)
    if not cases:
        by_name = any(files.list_images(p) for p in inputs)
        raise files.no_image(
            inputs[0],
            named=f"files that end in {', '.join(files.IMAGE_SUFFIXES)}"
            + (f", named as the format {module.NAME!r} has it" if by_name else ""),
            remedy="take each file for a case: --format decathlon" if by_name else None,
        )
    cases = sorted(
        with_groups(cases, chosen.group_pattern, inputs[0].parent), key=lambda case: case.id
    )
    files.require_unique(cases, source=inputs[0])
    return tuple(cases)


def _videos(inputs: Sequence[Path]) -> tuple[list[Case], list[Path]]:
    """Part inputs into videos, each a case, and what a format's rule groups."""
    cases: list[Case] = []
    others = []
    for path in inputs:
        found = files.list_videos(path) if path.is_dir() else [path] * files.is_video(path)
        cases += [Case(video.stem, (video,)) for video in found]
        if not found or files.list_images(path):
            others.append(path)
    return cases, others


def _series(inputs: Sequence[Path]) -> tuple[list[Case], list[Path]]:
    """Part inputs into DICOM series, each a case, and what a format's rule groups."""
    cases: list[Case] = []
    others = []
    for path in inputs:
        found = series.only_series(path)
        cases += map(series.case_of, found)
        if not found:
            others.append(path)
    return cases, others


def _rule_for(inputs: Sequence[Path], channels: Sequence[str]) -> ModuleType:
    """Choose a grouping rule by the names of the files."""
    names = [p for path in inputs for p in (files.list_images(path) or [path])]
    if all(nnunet.channel_number(p) in range(len(channels)) for p in names):
        return nnunet
    if len(channels) > 1 and any(brats.recognise(p) for p in inputs if p.is_dir()):
        return brats
    if len(channels) > 1 and all(brats.channel_of(p) for p in names):
        return brats
    return decathlon
