"""Public data sets in miniature, in the layouts that their sources publish.

Names of folders and files, names and values of labels and the order of channels are those of the
data sets' own descriptions; none of it is taken from medseg.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np

SHAPE = (6, 5, 4)


@dataclass(frozen=True)
class Found:
    """What a recipe must find in its layout."""

    cases: Sequence[str]
    channels: Sequence[str]
    values: dict[str, int]
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    order: tuple[int, ...] = ()
    groups: set[str] = field(default_factory=set)
    modality: str = "other"
    val: Sequence[str] = ()


def names(text: str) -> list[str]:
    return text.split("|")


LAYOUTS: dict[str, tuple[Callable[[Path], Path], Found]] = {}


def layout(name: str, found: Found):
    def add(write: Callable[[Path], Path]):
        LAYOUTS[name] = (write, found)
        return write

    return add


def nifti(path: Path, data: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, np.diag([1.0, 1.0, 2.0, 1.0])), path)


def channel(path: Path, number: int = 1) -> None:
    """Write the channel of that number; its voxels are the number."""
    nifti(path, np.full(SHAPE, number, dtype=np.int16))


def mask(path: Path, values: Sequence[int]) -> None:
    data = np.zeros(SHAPE, dtype=np.uint8)
    data.reshape(-1)[: len(values)] = values
    nifti(path, data)


def picture(path: Path, mode: str, *, marked: bool = False) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new(mode, (12, 10))
    if marked:
        image.paste(255, (2, 2, 6, 6))
    image.save(path)


# The Decathlon: `modality` and `labels` of each dataset.json as they are published.
TASKS = {
    "task01_brain_tumour": (
        ("BRATS_001", "BRATS_002"),
        ("FLAIR", "T1w", "t1gd", "T2w"),
        ("edema", "non-enhancing tumor", "enhancing tumour"),
    ),
    "task02_heart": (("la_003", "la_004"), ("MRI",), ("left atrium",)),
    "task03_liver": (("liver_0", "liver_1"), ("CT",), ("liver", "cancer")),
    "task04_hippocampus": (
        ("hippocampus_001", "hippocampus_003"),
        ("MRI",),
        ("Anterior", "Posterior"),
    ),
    "task05_prostate": (("prostate_00", "prostate_01"), ("T2", "ADC"), ("PZ", "TZ")),
    "task06_lung": (("lung_001", "lung_003"), ("CT",), ("cancer",)),
    "task07_pancreas": (("pancreas_001", "pancreas_004"), ("CT",), ("pancreas", "cancer")),
    "task08_hepatic_vessel": (
        ("hepaticvessel_001", "hepaticvessel_002"),
        ("CT",),
        ("Vessel", "Tumour"),
    ),
    "task09_spleen": (("spleen_10", "spleen_2"), ("CT",), ("spleen",)),
    "task10_colon": (("colon_001", "colon_005"), ("CT",), ("colon cancer primaries",)),
}


def decathlon(
    root: Path,
    parts: dict[str, Sequence[str]],
    channels: Sequence[str],
    labels: Sequence[str],
) -> Path:
    """Write cases: list of dataset.json -> names, in imagesTr and labelsTr (imagesVa, labelsVa)."""
    state: dict = {
        "modality": {str(i): name for i, name in enumerate(channels)},
        "labels": {"0": "background", **{str(i): n for i, n in enumerate(labels, start=1)}},
        "numTraining": len(parts["training"]),
        "numTest": 1,
        "test": ["./imagesTs/unseen.nii.gz"],
    }
    for part, names in parts.items():
        end = {"training": "Tr", "validation": "Va"}[part]
        for name in names:
            image = np.ones(SHAPE, dtype=np.float32)
            if len(channels) > 1:
                image = np.stack([(i + 1) * image for i in range(len(channels))], axis=-1)
            nifti(root / f"images{end}/{name}.nii.gz", image)
            mask(root / f"labels{end}/{name}.nii.gz", range(1, len(labels) + 1))
        state[part] = [
            {"image": f"./images{end}/{n}.nii.gz", "label": f"./labels{end}/{n}.nii.gz"}
            for n in names
        ]
    channel(root / "imagesTs/unseen.nii.gz")
    (root / "dataset.json").write_text(json.dumps(state))
    return root


for task, (cases, channels, classes) in TASKS.items():
    LAYOUTS[task] = (
        lambda root, n=cases, c=channels, k=classes: decathlon(root, {"training": n}, c, k),
        Found(
            cases,
            channels,
            {name: i for i, name in enumerate(classes, start=1)},
            modality="ct" if channels == ("CT",) else "other",
        ),
    )

OLD_ENDS = ("_flair", "_t1", "_t1ce", "_t2", "_seg")
NEW_ENDS = ("-t2f", "-t1n", "-t1c", "-t2w", "-seg")
OLD = {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
NEW = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}
MRI = ("FLAIR", "T1", "T1ce", "T2")


def brats(ends: Sequence[str], values: Sequence[int], *cases: str, suffix: str = ".nii.gz"):
    """Return what writes case folders; ``HGG/x`` lies in a folder of its grade."""

    def write(root: Path) -> Path:
        for case in cases:
            stem = f"{root / case}/{Path(case).name}"
            for number, end in enumerate(ends[:4], start=1):
                channel(Path(f"{stem}{end}{suffix}"), number)
            mask(Path(f"{stem}{ends[4]}{suffix}"), values)
        (root / "name_mapping.csv").write_text("Grade,Case\nHGG,x\n")
        return root

    return write


# Recipe: how its files end, its cases, its labels, its regions, and what decoding writes for each.
GLIOMA_OLD = (OLD_ENDS, {"NCR": 1, "ED": 2, "ET": 4}, OLD, (2, 1, 4))
GLIOMA = (NEW_ENDS, {"NCR": 1, "ED": 2, "ET": 3}, NEW, (2, 1, 3))
OTHERS = (NEW_ENDS, {"NETC": 1, "SNFH": 2, "ET": 3}, NEW, (2, 1, 3))
TREATED = {"NETC": 1, "SNFH": 2, "ET": 3, "RC": 4}
CHILDREN = {"WT": (1, 2, 3, 4), "TC": (1, 2, 3), "ET": (1,), "CC": (3,)}
BRATS = {
    "brats2018": (GLIOMA_OLD, "HGG/Brats18_2013_10_1|LGG/Brats18_TCIA09_141_1"),
    "brats2020": (GLIOMA_OLD, "BraTS20_Training_001|BraTS20_Training_002"),
    "brats2021": (GLIOMA_OLD, "BraTS2021_00000|BraTS2021_00002"),
    "brats2023_gli": (GLIOMA, "BraTS-GLI-00000-000|BraTS-GLI-00002-000"),
    "brats2023_men": (OTHERS, "BraTS-MEN-00004-000|BraTS-MEN-00008-000"),
    "brats2023_met": (OTHERS, "BraTS-MET-00002-000|BraTS-MET-00003-000"),
    "brats2023_ped": (
        (NEW_ENDS, {"NC": 1, "ED": 2, "ET": 3}, NEW, (2, 1, 3)),
        "BraTS-PED-00002-000|BraTS-PED-00003-000",
    ),
    "brats2024_gli": (
        (NEW_ENDS, TREATED, {**NEW, "RC": (4,)}, (2, 1, 3, 4)),
        "BraTS-GLI-00005-100|BraTS-GLI-02062-100|BraTS-GLI-02062-101",
    ),
    "brats2024_ped": (
        (NEW_ENDS, {"ET": 1, "NET": 2, "CC": 3, "ED": 4}, CHILDREN, (4, 2, 1, 3)),
        "BraTS-PED-00001-000|BraTS-PED-00003-000",
    ),
}
# Several scans of one patient; elsewhere a case is a patient.
PATIENTS = {"brats2024_gli": {"BraTS-GLI-00005", "BraTS-GLI-02062"}}

for year, ((ends, values, regions, order), listed) in BRATS.items():
    suffix = ".nii" if year == "brats2020" else ".nii.gz"
    LAYOUTS[year] = (
        brats(ends, tuple(values.values()), *names(listed), suffix=suffix),
        Found(
            [case.rpartition("/")[2] for case in names(listed)],
            MRI,
            values,
            regions,
            order,
            PATIENTS.get(year, set()),
        ),
    )


@layout(
    "brats2024_men_rt",
    Found(
        ("BraTS-MEN-RT-0003-1", "BraTS-MEN-RT-0004-1"),
        ("T1ce",),
        {"GTV": 1},
        groups={"BraTS-MEN-RT-0003", "BraTS-MEN-RT-0004"},
    ),
)
def men_rt(root: Path) -> Path:
    for case in ("BraTS-MEN-RT-0003-1", "BraTS-MEN-RT-0004-1"):
        channel(root / case / f"{case}_t1c.nii.gz")
        mask(root / case / f"{case}_gtv.nii.gz", [1])
    return root


def kits(values: Sequence[int]):
    def write(root: Path) -> Path:
        for case in ("case_00000", "case_00001", "case_00210"):
            channel(root / case / "imaging.nii.gz")
            if case != "case_00210":  # the test's cases have no mask
                mask(root / case / "segmentation.nii.gz", values)
        mask(root / "case_00000/instances/kidney_instance-1_annotation-1.nii.gz", [1])
        (root / "kits.json").write_text("[]")
        return root

    return write


LAYOUTS |= {
    "kits19": (
        kits((1, 2)),
        Found(
            ("case_00000", "case_00001"),
            ("CT",),
            {"kidney": 1, "tumor": 2},
            {"kidney and tumor": (1, 2), "tumor": (2,)},
            (1, 2),
            modality="ct",
        ),
    ),
    "kits23": (
        kits((1, 2, 3)),
        Found(
            ("case_00000", "case_00001"),
            ("CT",),
            {"kidney": 1, "tumor": 2, "cyst": 3},
            {"kidney and masses": (1, 2, 3), "masses": (2, 3), "tumor": (2,)},
            (1, 3, 2),
            modality="ct",
        ),
    ),
}


@layout(
    "lits",
    Found(
        ("0", "28"),
        ("CT",),
        {"liver": 1, "tumor": 2},
        {"liver and tumor": (1, 2), "tumor": (2,)},
        (1, 2),
        modality="ct",
    ),
)
def lits(root: Path) -> Path:
    for batch, number in (("Training Batch 1", 0), ("Training Batch 2", 28)):
        channel(root / batch / f"volume-{number}.nii")
        mask(root / batch / f"segmentation-{number}.nii", (1, 2))
    return root


ORGANS = names(
    "spleen|right kidney|left kidney|gallbladder|esophagus|liver|stomach|aorta|inferior vena cava|"
    "portal and splenic vein|pancreas|right adrenal gland|left adrenal gland"
)
# With the spelling of its dataset.json.
AMOS = names(
    "spleen|right kidney|left kidney|gall bladder|esophagus|liver|stomach|arota|postcava|pancreas|"
    "right adrenal gland|left adrenal gland|duodenum|bladder|prostate/uterus"
)


@layout(
    "btcv",
    Found(("0001", "0002"), ("CT",), {n: i for i, n in enumerate(ORGANS, start=1)}, modality="ct"),
)
def btcv(root: Path) -> Path:
    for number in ("0001", "0002"):
        channel(root / f"img/img{number}.nii.gz")
        mask(root / f"label/label{number}.nii.gz", range(1, 14))
    return root


@layout(
    "amos22",
    Found(
        ("amos_0001", "amos_0008", "amos_0507"),
        ("image",),
        {name: i for i, name in enumerate(AMOS, start=1)},
        val=["amos_0008"],
    ),
)
def amos22(root: Path) -> Path:
    parts = {"training": ["amos_0001", "amos_0507"], "validation": ["amos_0008"]}
    return decathlon(root, parts, ["CT"], AMOS)


@layout(
    "msseg2016",
    Found(
        ("Center_01_Patient_01", "Center_07_Patient_01"),
        ("FLAIR", "T1", "T2", "DP", "GADO"),
        {"lesion": 1},
    ),
)
def msseg2016(root: Path) -> Path:
    for centre in ("Center_01", "Center_07"):
        case = root / "Training" / centre / "Patient_01"
        for number, name in enumerate(("FLAIR", "T1", "T2", "DP", "GADO"), start=1):
            channel(case / f"Preprocessed_Data/{name}_preprocessed.nii.gz", number)
            channel(case / f"Raw_Data/{name}.nii.gz", 9)
        mask(case / "Masks/Consensus.nii.gz", [1])
        mask(case / "Masks/ManualSegmentation_1.nii.gz", [1])
    return root


@layout(
    "isbi2015_ms",
    Found(
        ("training01_01", "training01_02", "training02_01"),
        ("flair", "mprage", "pd", "t2"),
        {"lesion": 1},
        groups={"training01", "training02"},
    ),
)
def isbi2015_ms(root: Path) -> Path:
    for scan in ("training01_01", "training01_02", "training02_01"):
        case = root / scan[:-3]
        for number, name in enumerate(("flair", "mprage", "pd", "t2"), start=1):
            channel(case / f"preprocessed/{scan}_{name}_pp.nii", number)
            channel(case / f"orig/{scan}_{name}.nii.gz", 9)
        for rater in (1, 2):
            mask(case / f"masks/{scan}_mask{rater}.nii", [1])
    return root


@layout(
    "ms_lesions",
    Found(("patient01", "patient02"), ("FLAIR", "T1", "T1POST", "T2"), {"lesion": 1}),
)
def ms_lesions(root: Path) -> Path:
    tail = "N4_noneck_reduced_winsor_regtoFLAIR"
    for case in ("patient01", "patient02"):
        for number, name in enumerate(("FLAIR", "T1", "T1POST", "T2"), start=1):
            channel(root / case / f"{name}_{tail}_brain_N4_regtoMNI.nii.gz", number)
        mask(root / case / f"GOLD_STANDARD_{tail}_regtoMNI.nii.gz", [1])
    return root


@layout(
    "chase_db1",
    Found(
        [f"{n:02d}{side}" for n in range(1, 15) for side in "LR"],
        ("red", "green", "blue"),
        {"vessel": 1},
        groups={f"{n:02d}" for n in range(1, 15)},
        val=[f"{n}{side}" for n in range(11, 15) for side in "LR"],
    ),
)
def chase_db1(root: Path) -> Path:
    for number in range(1, 15):
        for side in "LR":
            stem = f"Image_{number:02d}{side}"
            picture(root / f"{stem}.jpg", "RGB")
            for observer in ("1stHO", "2ndHO"):
                picture(root / f"{stem}_{observer}.png", "1", marked=True)  # one bit a pixel
    return root


@layout(
    "drive",
    Found(
        [f"{n:02d}" for n in range(1, 41)],
        ("red", "green", "blue"),
        {"vessel": 1},
        val=[f"{n:02d}" for n in range(1, 21)],
    ),
)
def drive(root: Path) -> Path:
    for number in range(1, 41):
        part = "test" if number < 21 else "training"
        picture(root / f"{part}/images/{number:02d}_{part}.tif", "RGB")
        picture(root / f"{part}/1st_manual/{number:02d}_manual1.gif", "L", marked=True)
        picture(root / f"{part}/mask/{number:02d}_{part}_mask.gif", "L", marked=True)
    return root


@layout(
    "isbi_em",
    Found(
        sorted(str(n) for n in range(30)),
        ("image",),
        {"membrane": 1},
        val=[str(n) for n in range(24, 30)],
    ),
)
def isbi_em(root: Path) -> Path:
    for number in range(30):
        picture(root / f"image/{number}.png", "L")
        picture(root / f"label/{number}.png", "L", marked=True)
    return root
