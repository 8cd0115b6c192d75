"""Label presets: what the numbers in a public data set's masks mean, by source and year.

The same tumour is stored under different numbers from year to year, and the Decathlon's copy of
BraTS (Task01) uses a third scheme: converting with the wrong row is silent and common.

Sources: the challenges' own pages and the Decathlon's ``dataset.json`` files (Simpson,
arXiv 1902.09063; Baid, arXiv 2107.02314; de Verdier, arXiv 2405.18368).
"""

from __future__ import annotations

from collections.abc import Mapping
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
        caution: what to check before relying on it, or an empty string.
    """

    name: str
    source: str
    channels: tuple[str, ...]
    values: Mapping[str, int]
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    caution: str = ""

    @property
    def labels(self) -> LabelScheme:
        """The label scheme, with the regions as outputs where the data set has some."""
        return self.scheme(regions=bool(self.regions))

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


_MRI4 = ("FLAIR", "T1", "T1ce", "T2")
_OLD = {"NCR": 1, "ED": 2, "ET": 4}
_OLD_REGIONS = {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
_NEW = {"NCR": 1, "ED": 2, "ET": 3}
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
    old = [
        Preset(f"brats{year}", f"BraTS {year}", _MRI4, _OLD, _OLD_REGIONS)
        for year in (2018, 2019, 2020, 2021)
    ]
    return [
        *old,
        Preset("brats2023", "BraTS 2023 (GLI, MEN, MET, SSA, PED)", _MRI4, _NEW, _NEW_REGIONS),
        Preset(
            "brats2024_gli",
            "BraTS 2024 adult glioma after treatment",
            _MRI4,
            {"NETC": 1, "SNFH": 2, "ET": 3, "RC": 4},
            {**_NEW_REGIONS, "RC": (4,)},
        ),
        Preset(
            "brats2024_ped",
            "BraTS 2024 paediatric",
            _MRI4,
            {"ET": 1, "NET": 2, "CC": 3, "ED": 4},
            {"ET": (1,), "NET": (2,), "CC": (3,), "ED": (4,)},
            caution="its four labels are not confirmed: compare them with the challenge's page",
        ),
    ]


PRESETS: dict[str, Preset] = {p.name: p for p in [*_decathlon(), *_brats()]}


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
