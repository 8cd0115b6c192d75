from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medseg.data.case import Case, Dataset
from medseg.data.prepare.fingerprint import check, fingerprint, problems
from medseg.errors import InputError, InputErrors
from medseg.labels import LabelScheme
from medseg.planning.fingerprint import Fingerprint, modality


def add(root: Path, name: str, image: np.ndarray, label: np.ndarray, affine=None) -> Case:
    affine = np.eye(4) if affine is None else affine
    nib.save(nib.Nifti1Image(image, affine), root / f"{name}.nii.gz")
    nib.save(nib.Nifti1Image(label, affine), root / f"{name}_seg.nii.gz")
    return Case(name, (root / f"{name}.nii.gz",), root / f"{name}_seg.nii.gz")


def picture(seed: int, top: float = 100, kind: str = "int16") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = np.zeros((12, 13, 14), kind)
    image[1:11, 2:12, 3:13] = rng.integers(1, top, (10, 10, 10))
    label = np.zeros(image.shape, np.uint8)
    label[3:8, 4:9, 5:10] = 1
    label[5:7, 5:7, 6:9] = 2
    return image, label


def dataset(root: Path, *cases: Case, channels=("MR",)) -> Dataset:
    return Dataset("test", root, cases, channels, LabelScheme({"a": 1, "b": 2}))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_numbers_are_numpys(tmp_path, workers):
    pairs = [picture(seed) for seed in range(3)]
    cases = [add(tmp_path, f"c{i}", *pair) for i, pair in enumerate(pairs)]
    seen = []
    taken = fingerprint(
        dataset(tmp_path, *cases), workers=workers, progress=lambda *p: seen.append(p)
    )
    assert seen[-1] == (3, 3)
    assert [c.id for c in taken.cases] == ["c0", "c1", "c2"]
    image, label = pairs[1]
    case = taken.cases[1]
    assert case.shape == (12, 13, 14)
    assert case.cropped_shape == (10, 10, 10)
    assert case.crop_ratio == pytest.approx(1000 / 2184)
    assert case.orientation == "RAS"
    assert (case.image_dtype, case.label_dtype) == ("int16", "uint8")
    assert case.label_voxels == (2184 - 125, 125 - 12, 12)
    inside, filled = image[label > 0], image[image != 0]
    for ours, values in ((case.foreground[0], inside), (case.nonzero[0], filled)):
        assert ours.count == len(values)
        assert (ours.min, ours.max) == (values.min(), values.max())
        assert (ours.mean, ours.std) == pytest.approx((values.mean(), values.std()))
        assert [ours.p00_5, ours.median, ours.p99_5] == pytest.approx(
            np.percentile(values, [0.5, 50, 99.5])
        )
    every = np.concatenate([i[s > 0] for i, s in pairs])
    assert taken.foreground[0].mean == pytest.approx(every.mean())
    assert taken.foreground[0].p99_5 == pytest.approx(np.percentile(every, 99.5))


def test_processes_do_not_change_the_numbers(tmp_path):
    data = dataset(tmp_path, *(add(tmp_path, f"c{i}", *picture(i)) for i in range(3)))
    assert fingerprint(data, workers=2) == fingerprint(data)


def test_shape_and_spacing_are_told_in_ras_order(tmp_path):
    image, label = picture(0)
    affine = np.array([[0, 0, 3.0, 0], [-1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]])
    case = fingerprint(dataset(tmp_path, add(tmp_path, "a", image, label, affine))).cases[0]
    assert case.orientation == "PSR"
    assert case.shape == (14, 12, 13)
    assert case.spacing == (3.0, 1.0, 2.0)


def test_large_foregrounds_are_sampled_the_same_every_time(tmp_path):
    image = np.random.default_rng(0).normal(40, 9, (50, 50, 50)).astype(np.float32)
    data = dataset(tmp_path, add(tmp_path, "a", image, np.ones(image.shape, np.uint8)))
    taken = fingerprint(data)
    assert taken.foreground[0].count == 10_000
    assert taken.foreground[0].mean == pytest.approx(40, abs=0.5)
    assert fingerprint(data) == taken


def test_json_round_trip_is_exact_even_without_foreground(tmp_path):
    image, label = picture(0)
    data = dataset(tmp_path, add(tmp_path, "a", image, np.zeros_like(label)))
    taken = fingerprint(data)
    assert taken.foreground == (None,)
    assert taken.cases[0].foreground == (None,)
    text = json.dumps(taken.to_dict(), allow_nan=False)
    assert Fingerprint.from_dict(json.loads(text)) == taken
    assert Fingerprint.from_json(text) == Fingerprint.from_json(taken.to_json()) == taken
    assert json.loads(taken.to_json()) == json.loads(text)


def test_pictures_have_two_axes_and_no_orientation(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray((image[..., 0] > 128).astype(np.uint8)).save(tmp_path / "m.png")
    case = Case("a", (tmp_path / "a.png",), tmp_path / "m.png")
    taken = fingerprint(dataset(tmp_path, case, channels=("R", "G", "B")))
    assert taken.spatial_dims == 2
    assert taken.cases[0].orientation is None
    assert len(taken.foreground) == 3


def test_failing_cases_are_all_named(tmp_path):
    cases = [add(tmp_path, f"c{i}", *picture(i)) for i in range(3)]
    cases[0].images[0].write_bytes(b"")
    nib.save(nib.Nifti1Image(np.full((12, 13, 14), 9, np.uint8), np.eye(4)), cases[2].label)
    with pytest.raises(InputErrors) as caught:
        fingerprint(dataset(tmp_path, *cases))
    assert "case c0" in str(caught.value)
    assert "c2_seg.nii.gz" in str(caught.value)
    assert "[9]" in str(caught.value)


def test_no_case_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no labelled case"):
        fingerprint(dataset(tmp_path))


def test_pictures_among_volumes_are_refused(tmp_path):
    flat = np.ones((5, 6), np.uint8)
    cases = (add(tmp_path, "a", *picture(0)), add(tmp_path, "b", flat, flat))
    with pytest.raises(InputError, match="mixes pictures and volumes"):
        fingerprint(dataset(tmp_path, *cases))


def test_an_even_data_set_has_no_problems(tmp_path):
    data = dataset(tmp_path, *(add(tmp_path, f"c{i}", *picture(i)) for i in range(3)))
    found = [p for p in problems(fingerprint(data)) if "tiny" not in p]
    assert found == []


def test_each_oddity_is_named(tmp_path):
    lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    wide = np.diag([1.0, 1.0, 4.0, 1.0])
    image, label = picture(0)
    stray = label.copy()
    stray[0, 0, 0] = 1
    cases = (
        add(tmp_path, "plain", image, label),
        add(tmp_path, "twin", image, label),
        add(tmp_path, "bright", picture(1, 30_000)[0], stray),
        add(tmp_path, "float", picture(2, kind="float32")[0], label.astype(np.int16)),
        add(tmp_path, "turned", picture(3)[0], label, lps),
        add(tmp_path, "thick", picture(4)[0], label, wide),
        add(tmp_path, "healthy", picture(5)[0], np.zeros_like(label)),
        add(tmp_path, "blank", np.zeros_like(image), label),
    )
    data = replace(dataset(tmp_path, *cases), labels=LabelScheme({"a": 1, "b": 2, "c": 3}))
    text = "\n".join(problems(fingerprint(data)))
    for part in (
        "images are stored in different types: int16 (7 cases), float32 (1 case)",
        "labels are stored in different types: uint8 (7 cases), int16 (1 case)",
        " to 29,",
        "(bright), 2.5 orders of magnitude",
        "no case has a voxel of class 'c'",
        "all background in healthy",
        "class 'b' is tiny: 12 voxels",
        "RAS (7 cases), LPS (1 case)",
        "1 × 1 × 1 mm in thick",
        "plain, twin hold the same image",
        "all zeros in blank",
        "bright: 1 labelled voxels lie outside the non-zero image",
    ):
        assert part in text, part
    assert text.count("blank") == 1


def test_values_like_hounsfield_units_are_named_unless_they_are_taken_for_ct(tmp_path):
    image, label = picture(0, top=1400)
    data = dataset(tmp_path, add(tmp_path, "a", image - np.int16(1000), label))
    taken = fingerprint(data)
    said = [p for p in problems(taken) if "Hounsfield" in p]
    assert len(said) == 1 and "MR" in said[0] and "data.modality=ct" in said[0]
    assert problems(taken, modalities=["mr"]) == problems(taken)
    assert not any("Hounsfield" in p for p in problems(taken, modalities=["CT"]))


def test_a_channel_of_zeros_and_ones_is_no_single_value(tmp_path):
    image, label = picture(0)
    data = dataset(tmp_path, add(tmp_path, "mask", (image > 0).astype(np.int16), label))
    found = [text for text in problems(fingerprint(data)) if "mask" in text]
    assert found == ["channel MR has one single non-zero value in mask"]


def test_labels_that_cannot_be_learnt_are_refused(tmp_path):
    image, label = picture(0)
    cases = (add(tmp_path, "a", image, label), add(tmp_path, "healthy", image, label * 0))
    data = replace(dataset(tmp_path, *cases), labels=LabelScheme({"a": 1, "b": 2, "c": 3}))
    taken = fingerprint(data)
    with pytest.raises(InputErrors) as caught:
        check(taken, data)
    assert "healthy_seg.nii.gz: case healthy: the label is all background" in str(caught.value)
    assert "no case has a voxel of class 'c'" in str(caught.value)
    with pytest.raises(InputErrors) as caught:
        check(taken, data, empty_labels=True)
    assert "healthy" not in str(caught.value)
    check(replace(taken, labels=LabelScheme({"a": 1, "b": 2}).to_dict()), data, empty_labels=True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CT", "ct"),
        ("ct", "ct"),
        ("CTA arterial", "ct"),
        ("MRI", "other"),
        ("T1ct", "other"),
        ("PET", "other"),
    ],
)
def test_a_channels_name_says_whether_it_counts_in_hounsfield_units(name, kind):
    assert modality(name) == kind


def test_what_is_odd_about_hippocampus_is_named(real_data):
    folder = real_data("Task04_Hippocampus")
    images = sorted((folder / "imagesTr").glob("hippocampus_*.nii.gz"))
    cases = tuple(Case(p.name[:-7], (p,), folder / "labelsTr" / p.name) for p in images)
    labels = LabelScheme({"Anterior": 1, "Posterior": 2})
    data = Dataset("decathlon", folder, cases, ("MRI",), labels)
    taken = fingerprint(data, workers=2)
    assert Counter(c.image_dtype for c in taken.cases) == {"float32": 163, "uint8": 45}
    text = "\n".join(problems(taken))
    assert "float32 (163 cases), uint8 (45 cases)" in text
    assert "uint8 (206 cases), float32 (2 cases)" in text
    assert "from 112 (" in text
    assert "to 1,704,295 (" in text
    assert "4.2 orders of magnitude" in text
    assert taken.median_spacing == (1.0, 1.0, 1.0)
    check(taken, data)


def test_ignored_voxels_are_in_no_number(tmp_path):
    image, label = picture(0)
    plain = fingerprint(dataset(tmp_path, add(tmp_path, "plain", image, label)))
    label[:, :, 10:] = 7
    labels = LabelScheme({"a": 1, "b": 2}, ignore=7)
    case = add(tmp_path, "partly", image, label)
    found = fingerprint(Dataset("test", tmp_path, (case,), ("MR",), labels))
    assert found.cases[0].label_voxels[1:] == plain.cases[0].label_voxels[1:]
    assert found.foreground == plain.foreground
    assert sum(found.cases[0].label_voxels) == (label != 7).sum()
    assert found.cases[0].notes == ()


def test_regions_may_do_without_a_class_but_not_without_a_voxel(tmp_path):
    image, label = picture(0)
    data = dataset(tmp_path, add(tmp_path, "a", image, label * (label == 2)))
    scheme = LabelScheme({"a": 1, "b": 2, "c": 3}, {"all": (1, 2, 3), "b": (2,)}, (1, 2))
    taken = fingerprint(replace(data, labels=scheme))
    check(taken, data)
    assert "no case has a voxel of class 'a'" in "".join(problems(taken))
    lacking = replace(
        taken,
        labels=LabelScheme(
            {"a": 1, "b": 2, "c": 3}, {"all": (1, 2, 3), "rim": (1, 3)}, (2, 1)
        ).to_dict(),
    )
    with pytest.raises(InputErrors, match="no case has a voxel of region 'rim'") as caught:
        check(lacking, data)
    (problem,) = caught.value.problems
    assert problem.expected == "value 1 or 3 in at least one label file"
    assert problem.found == "none in 1 label files, which hold [2]"
    assert problem.remedy.startswith("leave it out of data.regions")
