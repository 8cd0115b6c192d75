"""What is said of values that a label preset does not have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medseg.data import formats
from medseg.data.case import Case, Dataset
from medseg.data.formats import presets
from medseg.data.prepare.census import values_in
from medseg.data.prepare.fingerprint import fingerprint
from medseg.errors import InputError, InputErrors
from medseg.labels import LabelScheme, UndeclaredValues

SCHEME = LabelScheme(presets.get("kits19").values)


def case(root: Path, name: str, values: tuple[int, ...], kind=np.uint8) -> Case:
    label = np.zeros((4, 4, 4), kind)
    label.reshape(-1)[: len(values)] = values
    for end, data in (("", np.ones((4, 4, 4), np.int16)), ("_seg", label)):
        nib.save(nib.Nifti1Image(data, np.eye(4)), root / f"{name}{end}.nii.gz")
    return Case(name, (root / f"{name}.nii.gz",), root / f"{name}_seg.nii.gz")


def dataset(root: Path, *cases: Case, labels=SCHEME, preset="kits19") -> Dataset:
    return Dataset("folders", root, cases, ("CT",), labels, preset=preset)


def refusal(data: Dataset, **options) -> InputError:
    with pytest.raises(InputError) as caught:
        fingerprint(data, **options)
    assert not isinstance(caught.value, InputErrors | UndeclaredValues)
    return caught.value


@pytest.mark.parametrize("workers", [0, 2])
def test_values_are_counted_over_all_masks(tmp_path, workers):
    cases = [case(tmp_path, f"p{i}", v) for i, v in enumerate([(1,), (1, 4), (2, 4, 7), (2,)])]
    error = refusal(dataset(tmp_path, *cases), workers=workers)
    assert error.message == "2 label files hold values that are not declared"
    assert error.file == tmp_path
    assert error.expected.startswith("values [0, 1, 2], as the label preset kits19 (KiTS19, ")
    assert error.found == "also 4 in 2, 7 in 1 of 4 files (p1, p2); in all 1, 2, 4, 7"
    assert error.remedy.startswith("declare them under data.labels")


def test_a_single_mask_is_named(tmp_path):
    cases = [case(tmp_path, "p0", (1,)), case(tmp_path, "p1", (1, 9), kind=np.float32)]
    error = refusal(dataset(tmp_path, *cases))
    assert error.message == "case p1: the label holds values that are not declared"
    assert error.file == cases[1].label
    assert "also 9 in 1 of 2 files (p1)" in error.found


def test_values_count_after_the_map_and_the_ignored_one_is_declared(tmp_path):
    cases = [case(tmp_path, "p0", (1, 5, 8)), case(tmp_path, "p1", (2, 6))]
    data = dataset(tmp_path, *cases, labels=LabelScheme(SCHEME.values, ignore=8))
    error = refusal(replace(data, value_map={5: 1}))
    assert error.expected.startswith("values [0, 1, 2, 8]")
    assert "also 6 in 1 of 2 files (p1)" in error.found


def test_without_a_preset_every_mask_is_named_beside_other_mistakes(tmp_path):
    cases = [case(tmp_path, f"p{i}", (1, 4)) for i in range(2)]
    (tmp_path / "broken.nii.gz").write_bytes(b"")
    cases.append(replace(cases[0], id="broken", images=(tmp_path / "broken.nii.gz",)))
    with pytest.raises(InputErrors) as caught:
        fingerprint(dataset(tmp_path, *cases, preset=""))
    assert [p.message.split(":")[0] for p in caught.value.problems] == [
        "case p0",
        "case p1",
        "case broken",
    ]


def test_a_preset_is_named_with_the_one_that_fits(tmp_path):
    cases = [case(tmp_path, f"p{i}", (1, 2, 4)) for i in range(3)]
    wanted = presets.get("brats2023")
    error = refusal(dataset(tmp_path, *cases, labels=wanted.labels, preset=wanted.name))
    assert "as the label preset brats2023 (BraTS 2023, adult glioma" in error.expected
    assert "also 4 in 3 of 3 files" in error.found
    assert error.remedy.startswith(
        "data.labels=brats2018 (brats2018, brats2019, brats2020, brats2021"
    )


def test_a_mask_that_cannot_be_read_holds_no_values(tmp_path):
    (tmp_path / "x.nii.gz").write_bytes(b"no image")
    assert values_in(tmp_path / "x.nii.gz", {}) == frozenset()


def test_an_undeclared_colour_of_a_palette_is_refused_at_the_first_look(tmp_path):
    palette = [0, 0, 0, 255, 0, 0, 0, 255, 0]
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for name, index in (("a", 1), ("b", 2)):
            picture = Image.new("P" if folder == "masks" else "L", (8, 8))
            picture.paste(index, (1, 1, 4, 4))
            if folder == "masks":
                picture.putpalette(palette)
            picture.save(tmp_path / folder / f"{name}.png")
    data = formats.read(tmp_path, labels={"gland": 1})
    error = refusal(data)
    assert error.message == "case b: the label holds values that are not declared"
    assert error.found == "also index 2 (colour 0x00ff00) in 9 pixels"


def test_real_glioma_loads_with_its_years_preset_and_not_with_anothers(real_data, tmp_path):
    root = real_data("brats/BraTS-GLI-00000-000")
    data = formats.read(root, labels="brats2023", regions=True)
    assert fingerprint(data).cases[0].label_voxels[3] > 0
    with pytest.raises(InputError, match="not that of these cases") as caught:
        formats.read(root, labels="brats2021", regions=True)
    assert "brats2023" in caught.value.remedy

    # Under other names only its voxels can tell.
    for path in root.glob("*.nii.gz"):
        end = path.name.removeprefix("BraTS-GLI-00000-000")
        (tmp_path / f"p1{end}").symlink_to(path)
    error = refusal(formats.read(tmp_path, labels="brats2021", regions=True))
    assert "also 3 in 1 of 1 files (p1); in all 1, 2, 3" in error.found
    assert error.remedy.startswith("data.labels=brats2023 (brats2023, ")


def test_a_real_case_with_the_old_labels_loads_with_the_old_preset_only(real_data, tmp_path):
    root = real_data("brats/TCGA-FG-6692")
    image = f"{root}/raw_bet/OtherEXampleFromTCIA_{{}}_bet.nii.gz"
    files = [image.format(name) for name in ("fla", "t1", "t1c", "t2")]
    header = "id,image_FLAIR,image_T1,image_T1ce,image_T2,label"
    row = ",".join(["TCGA-FG-6692", *files, f"{root}/fusion/mav.nii.gz"])
    (tmp_path / "cases.csv").write_text(f"{header}\n{row}\n")
    data = formats.read(tmp_path, labels="brats2020", regions=True)
    assert dict(data.labels.regions) == {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
    assert fingerprint(data).cases[0].label_voxels[3] > 0
    error = refusal(formats.read(tmp_path, labels="brats2023", regions=True))
    assert "also 4 in 1 of 1 files" in error.found
    assert "brats2020" in error.remedy
