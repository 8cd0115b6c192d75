"""BraTS: one folder per case, one file per modality, told apart by the end of its name.

::

    2018 to 2021                              2023 and later
    BraTS2021_00000/                          BraTS-GLI-00000-000/
      BraTS2021_00000_flair.nii.gz              BraTS-GLI-00000-000-t2f.nii.gz
      BraTS2021_00000_t1.nii.gz                 BraTS-GLI-00000-000-t1n.nii.gz
      BraTS2021_00000_t1ce.nii.gz               BraTS-GLI-00000-000-t1c.nii.gz
      BraTS2021_00000_t2.nii.gz                 BraTS-GLI-00000-000-t2w.nii.gz
      BraTS2021_00000_seg.nii.gz                BraTS-GLI-00000-000-seg.nii.gz

The channels are FLAIR, T1, T1ce and T2, in this order for both schemes; ``data.channels`` may take
a part of them or another order (the files' own endings are understood too). ``.nii`` and
``.nii.gz`` both do. The root may be a case folder itself, or hold folders of them (HGG/, LGG/). The
id is what stands before the ending, whatever the folder is called. A scan ``…-00000-001`` is the
same patient as ``…-00000-000``: they form one group, which never straddles folds.

The ids decide the label preset (`medseg.data.formats.presets`), or else the endings do:
``brats2021`` (ET = 4) or ``brats2023`` (ET = 3). BraTS 2024 has the names of 2023 but four labels:
give ``labels: brats2024_gli`` or ``brats2024_ped``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from medseg.data.case import Case
from medseg.data.formats import files
from medseg.data.formats.channels import select
from medseg.data.formats.layout import Layout, Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.presets import PRESETS, fitting_names
from medseg.errors import InputError

NAME = "brats"
LOOKED_FOR = "case folders with *_flair/_t1/_t1ce/_t2 or *-t2f/-t1n/-t1c/-t2w files"
CHANNELS = ("FLAIR", "T1", "T1ce", "T2")

_ENDINGS = {
    "brats2021": {"_flair": "FLAIR", "_t1": "T1", "_t1ce": "T1ce", "_t2": "T2", "_seg": "seg"},
    "brats2023": {"-t2f": "FLAIR", "-t1n": "T1", "-t1c": "T1ce", "-t2w": "T2", "-seg": "seg"},
}
_ENDING_OF = {end: (scheme, ch) for scheme, row in _ENDINGS.items() for end, ch in row.items()}
_NAME = re.compile(r"(?P<case>.+)(?P<end>_flair|_t1ce|_t1|_t2|_seg|-t2f|-t1n|-t1c|-t2w|-seg)", re.I)
_ALIASES = {"t2f": "FLAIR", "t1n": "T1", "t1c": "T1ce", "t2w": "T2", "t1gd": "T1ce", "t1w": "T1"}
_TIMEPOINT = re.compile(r"(BraTS-[A-Za-z]+(?:-[A-Za-z]+)*-\d+)-\d{3}")
_DEPTH = 3

# (folder, case id) -> scheme -> channel -> file
_Found = dict[tuple[Path, str], dict[str, dict[str, Path]]]


def recognise(root: Path) -> Recognition | None:
    """Say why ``root`` holds BraTS cases, or return ``None``: one folder with two modalities."""
    for (folder, case), schemes in _collect(files.walk_images(root, depth=_DEPTH)).items():
        for scheme, parts in schemes.items():
            if len(set(parts) - {"seg"}) >= 2:
                naming = "2018 to 2021" if scheme == "brats2021" else "2023 and later"
                return Recognition(NAME, f"{folder} holds {case} named as in BraTS {naming}")
    return None


def read(root: Path, *, channels: Sequence[str] | None, options: FormatOptions) -> Layout:
    """Read a folder of BraTS cases.

    Raises:
        InputError: there are none, cases lack modalities that are wanted, two files claim one
            modality, a mask stands alone, or both naming schemes (with different labels) are mixed.
    """
    found = _collect(files.walk_images(root, depth=_DEPTH))
    if not found:
        raise InputError("holds no BraTS case", file=root, expected=LOOKED_FOR)
    positions, names = select(CHANNELS, channels, source=root, aliases=_ALIASES)
    wanted = [CHANNELS[i] for i in positions]
    scheme = _one_scheme(found, root)
    cases = _cases(found, scheme, wanted, root)
    files.require_unique(cases, source=root)
    bare = [c.id for c in cases if c.label is None]
    notes = []
    if bare and len(bare) < len(cases):
        notes.append(f"{files.count(len(bare), 'case')} without a mask: {files.first_ten(bare)}")
    preset, others = _presets(scheme, [case.id for case in cases])
    if others:
        notes.append(
            f"by their names the cases are of {preset} or {' or '.join(others)}; without "
            f"data.labels they are taken as {preset}"
        )
    return Layout(cases=tuple(cases), channels=names, preset=preset, notes=tuple(notes))


def group(
    paths: Sequence[Path], *, channels: Sequence[str], options: FormatOptions
) -> tuple[Case, ...]:
    """Group files by folder and by what stands before the ending; folders are searched.

    Raises:
        InputError: a file's name has no such ending, or a case lacks modalities.
    """
    images: list[Path] = []
    for path in paths:
        if path.is_dir():
            images += files.walk_images(path, depth=_DEPTH)
        elif not _NAME.fullmatch(files.stem_of(path)):
            raise InputError(
                "does not say which modality it is",
                file=path,
                expected="a name that ends in _flair, _t1, _t1ce, _t2 or -t2f, -t1n, -t1c, -t2w",
            )
        else:
            images.append(path)
    positions, _ = select(CHANNELS, channels, source=paths[0], aliases=_ALIASES)
    wanted = [CHANNELS[i] for i in positions]
    found = _collect(images)
    cases = []
    for scheme in _ENDINGS:
        part = {
            k: {scheme: v[scheme]} for k, v in found.items() if set(v.get(scheme, ())) - {"seg"}
        }
        cases += _cases(part, scheme, wanted, paths[0])
    return tuple(Case(c.id, c.images, None, c.group) for c in cases)


def channel_of(path: Path) -> str | None:
    """Return the channel (or ``seg``) that a file name ends in, or ``None``."""
    match = _NAME.fullmatch(files.stem_of(path))
    return _ENDING_OF[match["end"].lower()][1] if match else None


def patient_of(case_id: str) -> str | None:
    """Return the patient of a BraTS 2023+ id (``BraTS-GLI-00000-001`` -> ``BraTS-GLI-00000``)."""
    match = _TIMEPOINT.fullmatch(case_id)
    return match[1] if match else None


def _collect(paths: Sequence[Path]) -> _Found:
    found: _Found = {}
    for path in paths:
        match = _NAME.fullmatch(files.stem_of(path))
        if match is None or files.suffix_of(path).lower() not in (".nii", ".nii.gz"):
            continue
        scheme, channel = _ENDING_OF[match["end"].lower()]
        parts = found.setdefault((path.parent, match["case"]), {}).setdefault(scheme, {})
        if channel in parts:
            raise InputError(
                f"two files claim {channel} of case {match['case']}",
                file=path.parent,
                found=f"{parts[channel].name} and {path.name}",
                remedy="remove one of them",
            )
        parts[channel] = path
    return found


def _one_scheme(found: _Found, root: Path) -> str:
    example: dict[str, str] = {}
    for (_, case), schemes in found.items():
        for scheme, parts in schemes.items():
            if set(parts) - {"seg"}:
                example.setdefault(scheme, case)
    if len(example) > 1:
        raise InputError(
            "mixes the file names of BraTS until 2021 with those since 2023",
            file=root,
            expected="one scheme: the enhancing tumour is 4 in the one and 3 in the other",
            found=" and ".join(f"{case} ({scheme})" for scheme, case in example.items()),
            remedy="point data.root at one of the two",
        )
    return next(iter(example), next(iter(next(iter(found.values())))))


def _presets(scheme: str, ids: Sequence[str]) -> tuple[str, list[str]]:
    """Return the preset that names of cases imply, and others that have the same names."""
    known = [p for p in fitting_names(ids) if len(p.channels) == len(CHANNELS)]
    if not known:
        later = ["brats2024_gli"] if scheme == "brats2023" else []
        known = [PRESETS[name] for name in (scheme, *later)]
    first, *others = known
    return first.name, [p.name for p in others if not p.means_the_same(first)]


def _cases(found: _Found, scheme: str, wanted: Sequence[str], root: Path) -> list[Case]:
    endings = {channel: end for end, channel in _ENDINGS[scheme].items()}
    cases, incomplete, alone = [], [], []
    for (_, case), schemes in found.items():
        parts = schemes.get(scheme, {})
        lacking = [endings[channel] for channel in wanted if channel not in parts]
        if not set(parts) - {"seg"}:
            alone.append(case)
        elif lacking:
            incomplete.append(f"{case} lacks {', '.join(lacking)}")
        else:
            images = tuple(parts[channel] for channel in wanted)
            cases.append(Case(case, images, parts.get("seg"), patient_of(case)))
    if incomplete:
        raise InputError(
            f"{files.count(len(incomplete), 'case')} without all modalities",
            file=root,
            expected=f"files for {', '.join(wanted)}",
            found=files.first_ten(incomplete),
            remedy="complete them, or choose fewer with data.channels",
        )
    if alone:
        raise InputError(
            f"{files.count(len(alone), 'label')} without an image",
            file=root,
            found=files.first_ten(alone),
        )
    return sorted(cases, key=lambda c: c.id)
