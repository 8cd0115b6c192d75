import json

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture
def trained(cli, recipe, here):
    assert cli("fit", recipe)[0] == 0
    return here / "runs" / "tiny"


def test_predict_writes_a_mask_per_file_on_its_grid(cli, trained, phantom, here):
    image = next((phantom / "imagesTr").glob("*.nii.gz"))
    code, _, err = cli("predict", trained, image, "-o", "out")
    assert code == 0, err
    mask, source = nib.load(here / "out" / image.name), nib.load(image)
    assert mask.shape == source.shape and np.array_equal(mask.affine, source.affine)
    assert json.loads((here / "out" / "labels.json").read_text())["values"]["head"] == 1


def test_predict_takes_a_folder_and_shows_the_grouping_first(cli_json, trained, phantom, here):
    found = cli_json("predict", trained, phantom / "imagesTr", "-o", "out", "--dry-run")
    assert len(found) == 6 and not (here / "out").exists()


def test_predictions_are_not_overwritten_unasked(cli, trained, phantom):
    image = next((phantom / "imagesTr").glob("*.nii.gz"))
    assert cli("predict", trained, image, "-o", "out")[0] == 0
    code, _, err = cli("predict", trained, image, "-o", "out")
    assert code == 2 and "--overwrite" in err
    assert cli("predict", trained, image, "-o", "out", "--overwrite")[0] == 0


def test_a_bad_file_does_not_stop_the_others(cli, trained, phantom, here):
    image = next((phantom / "imagesTr").glob("*.nii.gz"))
    (here / "in").mkdir()
    (here / "in" / "a.nii.gz").write_bytes(image.read_bytes()[:-200])
    (here / "in" / "b.nii.gz").write_bytes(image.read_bytes())
    code, _, err = cli("predict", trained, "in", "-o", "out")
    assert code == 2 and "a.nii.gz" in err
    assert sorted(p.name for p in (here / "out").iterdir()) == ["b.nii.gz", "labels.json"]


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, "no such"), (b"not a checkpoint", "x.ckpt"), (b"PK\x03\x04 cut", "x.ckpt")],
)
def test_a_wrong_checkpoint_is_named(cli, here, content, word):
    if content is not None:
        (here / "x.ckpt").write_bytes(content)
    code, _, err = cli("predict", "x.ckpt", here, "-o", "out")
    assert code == 2 and word in err and "Traceback" not in err


def test_evaluate_of_the_references_themselves_is_perfect(cli_json, phantom, here):
    metrics = cli_json("evaluate", phantom / "labelsTr", phantom / "labelsTr", "-o", "m.json")
    assert metrics["mean"]["dice"] == 1.0 and metrics["mean"]["hd95"] == 0.0
    assert json.loads((here / "m.json").read_text())["n_cases"] == 6


def test_evaluate_names_missing_and_extra_cases(cli, phantom, here):
    (here / "preds").mkdir()
    labels = sorted((phantom / "labelsTr").glob("*.nii.gz"))
    for label in labels[1:]:
        (here / "preds" / label.name).write_bytes(label.read_bytes())
    (here / "preds" / "stranger.nii.gz").write_bytes(labels[0].read_bytes())
    code, _, err = cli("evaluate", "preds", phantom / "labelsTr", "-o", "m.json")
    assert code == 0
    assert labels[0].name.removesuffix(".nii.gz") in err and "stranger" in err
    metrics = json.loads((here / "m.json").read_text())
    assert metrics["extra"] == ["stranger"] and len(metrics["missing"]) == 1


def test_evaluate_refuses_masks_on_different_grids(cli, phantom, here):
    label = next((phantom / "labelsTr").glob("*.nii.gz"))
    image = nib.load(label)
    (here / "preds").mkdir()
    moved = image.affine.copy()
    moved[:3, 3] += 5
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), moved), here / "preds" / label.name)
    code, _, err = cli("evaluate", "preds", phantom / "labelsTr")
    assert code == 2 and label.name in err and "mm apart" in err


def test_evaluate_does_not_replace_a_file_unasked(cli, phantom, here):
    (here / "m.json").write_text("mine")
    code, _, _err = cli("evaluate", phantom / "labelsTr", phantom / "labelsTr", "-o", "m.json")
    assert code == 2 and (here / "m.json").read_text() == "mine"


def test_references_with_longer_names_find_their_predictions(cli_json, phantom, here):
    for folder in ("preds", "refs"):
        (here / folder).mkdir()
    for label in sorted((phantom / "labelsTr").glob("*.nii.gz")):
        name = label.name.removesuffix(".nii.gz")
        (here / "preds" / label.name).write_bytes(label.read_bytes())
        (here / "refs" / f"sub-{name}_ct_seg-manual.nii.gz").write_bytes(label.read_bytes())
    metrics = cli_json("evaluate", "preds", "refs")
    assert metrics["n_cases"] == 6 and metrics["mean"]["dice"] == 1.0


def test_predict_leaves_a_foreign_label_file_alone(cli, trained, phantom, here):
    (here / "out").mkdir()
    (here / "out" / "labels.json").write_text("mine")
    image = next((phantom / "imagesTr").glob("*.nii.gz"))
    code, _, err = cli("predict", trained, image, "-o", "out")
    assert code == 2 and "labels.json" in err
    assert (here / "out" / "labels.json").read_text() == "mine"


def test_an_output_that_is_a_file_is_refused_before_anything_is_segmented(
    cli, trained, phantom, here
):
    (here / "out").write_text("mine")
    code, _, err = cli("predict", trained, phantom / "imagesTr", "-o", "out")
    assert code == 2 and err.count("error:") == 1 and "the output is a file" in err
    assert (here / "out").read_text() == "mine"


def test_a_network_is_not_averaged_with_itself(cli, trained, phantom):
    best = trained / "fold_0" / "checkpoints" / "best.ckpt"
    for again in (trained, best):
        code, _, err = cli("predict", trained, phantom / "imagesTr", "-o", "o", "--with", again)
        assert code == 2 and "averaged twice" in err, err
