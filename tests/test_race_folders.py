"""The folders of `tests/benchmarks/race.py`: what a tool is given, and what it is not."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medseg.data import formats
from medseg.data.splits import make_splits

CASES = [f"case_{i:02d}" for i in range(10)]


@pytest.fixture(scope="module")
def folders():
    file = Path(__file__).parent / "benchmarks" / "race_folders.py"
    spec = importlib.util.spec_from_file_location("race_folders", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(root: Path, *, channels: int = 1) -> Path:
    for case in CASES:
        shape = (4, 5, 6) if channels == 1 else (4, 5, 6, channels)
        image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        for part, data in (("imagesTr", image), ("labelsTr", np.ones((4, 5, 6), np.uint8))):
            (root / part).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), root / part / f"{case}.nii.gz")
    description = {
        "modality": {str(i): f"MR{i}" for i in range(channels)},
        "labels": {"0": "background", "1": "front", "2": "back"},
        "training": [
            {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}
            for case in CASES
        ],
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(description))
    return root


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_fold_is_the_one_that_medseg_trains(folders, tmp_path):
    source = write(tmp_path / "source")
    train, test = folders.fold_of(source, 1, 5)
    split = make_splits(formats.read(source).cases, 5)[1]
    assert (train, test) == (split["train"], split["val"])
    assert sorted(train + test) == CASES


def test_the_training_folder_holds_its_cases_and_no_other(folders, tmp_path):
    source = write(tmp_path / "source")
    made = folders.decathlon_folder(source, CASES[:3], tmp_path / "train")
    dataset = formats.read(made)
    assert dataset.format == "decathlon"
    assert [case.id for case in dataset.cases] == CASES[:3]
    assert dict(dataset.labels.values) == {"background": 0, "front": 1, "back": 2}
    assert not [name for name in files(made) if any(case in name for case in CASES[3:])]


def test_test_images_come_without_labels(folders, tmp_path):
    source = write(tmp_path / "source")
    made = folders.bare_images(source, CASES[8:], tmp_path / "images")
    assert files(made) == {"case_08.nii.gz", "case_09.nii.gz"}
    image = source / "imagesTr" / "case_08.nii.gz"
    assert (made / "case_08.nii.gz").read_bytes() == image.read_bytes()


@pytest.mark.parametrize("channels", [1, 2])
def test_nnunet_gets_a_file_per_channel(folders, tmp_path, channels):
    source = write(tmp_path / "source", channels=channels)
    made = folders.nnunet_dataset(source, tmp_path / "raw" / "Dataset501_Race")
    dataset = formats.read(made)
    assert dataset.format == "nnunet"
    assert [case.id for case in dataset.cases] == CASES
    assert len(dataset.cases[0].images) == channels
    state = json.loads((made / "dataset.json").read_text())
    assert state["labels"] == {"background": 0, "front": 1, "back": 2}
    assert state["numTraining"] == len(CASES)
    whole = nibabel.load(source / "imagesTr" / "case_03.nii.gz").get_fdata()
    whole = whole.reshape(4, 5, 6, channels)
    for i in range(channels):
        part = nibabel.load(made / "imagesTr" / f"case_03_{i:04d}.nii.gz").get_fdata()
        assert np.array_equal(part, whole[..., i])


def test_a_few_cases_are_spread_evenly(folders):
    assert folders.some_of(reversed(CASES), 3) == ["case_00", "case_03", "case_06"]
    assert folders.some_of(CASES, None) == CASES
    assert folders.some_of(CASES, 99) == CASES
