"""Label presets: what the numbers in a public data set's masks mean, by source and year.

The same tumour is stored under different numbers from year to year, and the Decathlon's copy of
BraTS (Task01) uses a third scheme: converting with the wrong row is silent and common. A preset is
therefore held against the names of the cases (`fitting_names`) and the values in the masks
(`fitting_values`).

Sources: the challenges' own pages, the Decathlon's ``dataset.json`` files, and Simpson, arXiv
1902.09063; Baid, arXiv 2107.02314 (BraTS to 2021); LaBella, arXiv 2305.07642, Moawad, arXiv
2306.00838, and Kazerooni, arXiv 2305.17033 (2023: MEN, MET, PED); de Verdier, arXiv 2405.18368,
Kazerooni, arXiv 2404.15009, and LaBella, arXiv 2405.18383 (2024: GLI, PED, MEN-RT); Heller, arXiv
1904.00445 and 2307.01984 (KiTS); Bilic, arXiv 1901.04056 (LiTS).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from medseg.errors import InputError, did_you_mean
from medseg.labels import LabelScheme


@dataclass(frozen=True)
class Preset:
    """A public data set's channels, labels and regions.

    Attributes:
        name: how recipes call it.
        source: the data set in words.
        channels: channel names in the data set's order.
        values: class name -> file value, without background.
        regions: name -> file values, the largest first; empty where none are in use.
        ids: regular expression of the data set's case ids, or an empty string.
    """

    name: str
    source: str
    channels: tuple[str, ...]
    values: Mapping[str, int]
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    ids: str = ""

    @property
    def labels(self) -> LabelScheme:
        """The label scheme, with the regions as outputs where the data set has some."""
        return self.scheme(regions=bool(self.regions))

    @property
    def family(self) -> str:
        """What the presets of one source share: ``brats``, ``msd``, ``kits``."""
        match = re.match("[a-z]+", self.name)
        return match[0] if match else self.name

    def scheme(self, *, regions: bool = False) -> LabelScheme:
        """Return the label scheme, with the regions as outputs if ``regions``.

        Raises:
            InputError: regions are wanted and the preset has none.
        """
        if regions and not self.regions:
            raise InputError(
                f"the label preset {self.name!r} has no regions",
                expected="data.regions as {name: [values]}, or none",
            )
        return LabelScheme(self.values, self.regions if regions else {})

    def means_the_same(self, other: Preset) -> bool:
        """Tell whether both read the same from a mask: the same regions, or else names."""
        if self.regions or other.regions:
            return dict(self.regions) == dict(other.regions)
        return dict(self.values) == dict(other.values)


_MRI4 = ("FLAIR", "T1", "T1ce", "T2")
_OLD = {"NCR": 1, "ED": 2, "ET": 4}
_OLD_REGIONS = {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
_NEW = {"NCR": 1, "ED": 2, "ET": 3}
_NEW_NAMES = {"NETC": 1, "SNFH": 2, "ET": 3}
_NEW_REGIONS = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}


def _decathlon() -> list[Preset]:
    rows: list[tuple[str, str, tuple[str, ...], dict[str, int]]] = [
        ("02", "heart", ("MRI",), {"left atrium": 1}),
        ("03", "liver", ("CT",), {"liver": 1, "cancer": 2}),
        ("04", "hippocampus", ("MRI",), {"Anterior": 1, "Posterior": 2}),
        ("05", "prostate", ("T2", "ADC"), {"PZ": 1, "TZ": 2}),
        ("06", "lung", ("CT",), {"cancer": 1}),
        ("07", "pancreas", ("CT",), {"pancreas": 1, "cancer": 2}),
        ("08", "hepatic vessel", ("CT",), {"Vessel": 1, "Tumour": 2}),
        ("09", "spleen", ("CT",), {"spleen": 1}),
        ("10", "colon", ("CT",), {"colon cancer primaries": 1}),
    ]
    brain = Preset(
        "msd_task01",
        "Medical Segmentation Decathlon, Task01 brain tumour",
        ("FLAIR", "T1w", "T1gd", "T2w"),
        {"edema": 1, "non-enhancing tumor": 2, "enhancing tumour": 3},
        {"WT": (1, 2, 3), "TC": (2, 3), "ET": (3,)},
    )
    return [brain] + [
        Preset(f"msd_task{n}", f"Medical Segmentation Decathlon, Task{n} {what}", channels, values)
        for n, what, channels, values in rows
    ]


def _brats() -> list[Preset]:
    old = {"2018": "Brats18_", "2019": "BraTS19_", "2020": "BraTS20_", "2021": "BraTS2021_"}
    new: list[tuple[str, str, Mapping[str, int], str]] = [
        ("brats2023", "adult glioma (GLI), and SSA", _NEW, "BraTS-(GLI|SSA)-"),
        ("brats2023_men", "meningioma", _NEW_NAMES, r"BraTS-MEN-\d"),
        ("brats2023_met", "metastases", _NEW_NAMES, "BraTS-MET-"),
        ("brats2023_ped", "paediatric", {"NC": 1, "ED": 2, "ET": 3}, "BraTS-PED-"),
    ]
    return [
        *(
            Preset(f"brats{year}", f"BraTS {year}", _MRI4, _OLD, _OLD_REGIONS, ids=start)
            for year, start in old.items()
        ),
        *(
            Preset(name, f"BraTS 2023, {what}", _MRI4, values, _NEW_REGIONS, ids=start)
            for name, what, values, start in new
        ),
        Preset(
            "brats2024_gli",
            "BraTS 2024, adult glioma after treatment",
            _MRI4,
            {**_NEW_NAMES, "RC": 4},
            {**_NEW_REGIONS, "RC": (4,)},
            ids="BraTS-GLI-",
        ),
        Preset(
            "brats2024_ped",
            "BraTS 2024, paediatric",
            _MRI4,
            {"ET": 1, "NET": 2, "CC": 3, "ED": 4},
            # What is left of TC is the non-enhancing tumour, what is left of WT the oedema.
            {"WT": (1, 2, 3, 4), "TC": (1, 2, 3), "ET": (1,), "CC": (3,)},
            ids="BraTS-PED-",
        ),
        Preset(
            "brats2024_men_rt",
            "BraTS 2024, meningioma before radiotherapy",
            ("T1ce",),
            {"GTV": 1},
            ids="BraTS-MEN-RT-",
        ),
    ]


def _ct() -> list[Preset]:
    kidney = {"kidney": 1, "tumor": 2}
    return [
        Preset(
            "kits19",
            "KiTS19, kidney with its tumours",
            ("CT",),
            kidney,
            {"kidney and tumor": (1, 2), "tumor": (2,)},
        ),
        Preset(
            "kits23",
            "KiTS23 (and KiTS21), kidney with its tumours and cysts",
            ("CT",),
            {**kidney, "cyst": 3},
            {"kidney and masses": (1, 2, 3), "masses": (2, 3), "tumor": (2,)},
        ),
        Preset(
            "lits",
            "LiTS, liver with its tumours",
            ("CT",),
            {"liver": 1, "tumor": 2},
            {"liver and tumor": (1, 2), "tumor": (2,)},
        ),
    ]


PRESETS: dict[str, Preset] = {p.name: p for p in [*_decathlon(), *_brats(), *_ct()]}


def get(name: str) -> Preset:
    """Return the preset of that name.

    Raises:
        InputError: there is none; the closest name is suggested.
    """
    if name not in PRESETS:
        raise InputError(
            f"data.labels: no label preset {name!r}; {did_you_mean(name, PRESETS)}".rstrip("; "),
            expected=", ".join(PRESETS),
        )
    return PRESETS[name]


def fitting_names(ids: Sequence[str]) -> list[Preset]:
    """Return the presets whose data set names its cases as all of these are; empty: none known."""
    return [
        preset
        for preset in PRESETS.values()
        if ids and preset.ids and all(re.match(preset.ids, one) for one in ids)
    ]


def fitting_values(
    values: Collection[int], ids: Sequence[str] = (), *, family: str = ""
) -> list[Preset]:
    """Return the presets that have exactly these values, or else the fewest more.

    Args:
        values: what masks hold; 0 does not count.
        ids: of the cases; presets whose data set calls its cases so come before others.
        family: of the presets to consider; empty: all.
    """
    wanted = set(values) - {0}
    if not wanted:
        return []
    named = fitting_names(ids)
    related = [p for p in PRESETS.values() if p.family == (family or p.family)]
    for known in (named, related):
        if exact := [p for p in known if wanted == set(p.values.values())]:
            return exact
    large = [p for p in named or related if wanted < set(p.values.values())]
    fewest = min((len(p.values) for p in large), default=0)
    return [p for p in large if len(p.values) == fewest]
