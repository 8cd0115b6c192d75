"""Volumes slice by slice with their neighbours, and stacks of pages, from data to masks."""

import json

import nibabel as nib
import numpy as np
from PIL import Image

TINY = """\
# A tiny training for tests.
extends: base/mr
data: {{root: "{root}", workers: 0}}
plan: {{configuration: 2d, neighbours: 1, patch_size: 16, features: [4, 8], batch_size: 2}}
trainer: {{steps: 2}}
logger: none
seed: 7
"""


def test_a_network_of_slices_and_neighbours_trains_and_predicts_volumes(cli, here, phantom):
    (here / "slices.yaml").write_text(TINY.format(root=phantom))
    code, _, err = cli("run", "slices.yaml")
    assert code == 0, err
    run = here / "runs" / "slices"
    assert "  neighbours: 1  # set in the recipe" in (run / "plan.yaml").read_text()
    case, *_ = json.loads((run / "splits.json").read_text())[0]["val"]
    source = phantom / "imagesTr" / f"{case}.nii.gz"
    code, _, err = cli("predict", run, source, "-o", here / "masks")
    assert code == 0, err
    image, mask = nib.load(source), nib.load(here / "masks" / f"{case}.nii.gz")
    assert mask.shape == image.shape and np.allclose(mask.affine, image.affine)
    before = nib.load(run / "predictions" / f"{case}.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj), np.asarray(before.dataobj))


def test_stacks_of_pages_become_stacks_of_masks(cli, here):
    rng = np.random.default_rng(0)
    for case in "abc":
        volume = rng.integers(0, 200, (4, 24, 20)).astype(np.uint8)
        for part, pages in (("images", volume), ("labels", (volume > 100) * np.uint8(255))):
            (here / "data" / part).mkdir(parents=True, exist_ok=True)
            first, *others = [Image.fromarray(page) for page in pages]
            path = here / "data" / part / f"{case}.tif"
            first.save(path, save_all=True, append_images=others)
    (here / "slices.yaml").write_text(TINY.format(root=here / "data").replace("base/mr", "base/2d"))
    code, _, err = cli("run", "slices.yaml", "data.folds=3")
    assert code == 0, err
    (mask,) = (here / "runs/slices/predictions").glob("*.tif")
    with Image.open(mask) as picture:
        assert (picture.n_frames, picture.size) == (4, (20, 24))
        assert set(np.unique(np.asarray(picture))) <= {0, 1}


def test_neighbours_without_slices_are_refused(cli, here, phantom):
    (here / "slices.yaml").write_text(TINY.format(root=phantom))
    code, _, err = cli("run", "slices.yaml", "plan.configuration=3d_fullres")
    assert code == 2
    assert "plan.neighbours" in err and "plan.configuration: 2d" in err


def test_echonet_runs_from_videos_to_masks(cli, here, echonet_data):
    root = echonet_data.write()
    code, _, err = cli("init", root)
    assert code == 0, err
    recipe = here / "echonet_dynamic.yaml"
    assert "format: echonet" in recipe.read_text() and "left ventricle" in recipe.read_text()
    assert {p.name for p in root.iterdir()} == {"FileList.csv", "VolumeTracings.csv", "Videos"}
    tiny = ("plan.patch_size=16", "plan.features=[4, 8]", "plan.batch_size=2", "data.workers=0")
    code, _, err = cli("run", recipe, *tiny, "trainer.budget=null", "trainer.steps=2")
    assert code == 0, err
    run = here / "runs" / "echonet_dynamic"
    splits = json.loads((run / "splits.json").read_text())
    assert splits[0]["val"] == ["0XC3_002", "0XC3_005"]
    masks = {p.name for p in (run / "predictions").glob("*.png")}
    assert masks == {"0XC3_002.png", "0XC3_005.png"}
    # Whole videos, of which the training saw two frames each.
    code, _, err = cli("predict", run, root / "Videos", "-o", "whole")
    assert code == 0, err
    names = {f"{name}.{kind}" for name in echonet_data.splits for kind in ("tif", "csv")}
    assert {p.name for p in (here / "whole").iterdir()} == {*names, "labels.json"}
    with Image.open(here / "whole" / "0XC3.tif") as video:
        assert (video.n_frames, video.size, video.mode) == (7, (64, 48), "L")
        for frame in (2, 5):
            video.seek(frame)
            with Image.open(run / "predictions" / f"0XC3_00{frame}.png") as mask:
                assert np.array_equal(np.asarray(video), np.asarray(mask))
    before = (here / "whole" / "0XA1.tif").stat()
    code, _, err = cli("predict", run, root / "Videos" / "0XA1.avi", "-o", "whole")
    assert code == 2 and "--overwrite" in err
    assert (here / "whole" / "0XA1.tif").stat() == before


def test_init_describes_masks_drawn_in_colours(cli, here):
    rng = np.random.default_rng(0)
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], dtype=np.uint8)
    for case in "abcd":
        for part, picture in (
            ("images", rng.integers(0, 255, (24, 20, 3)).astype(np.uint8)),
            ("masks", palette[rng.integers(0, 3, (24, 20))]),
        ):
            (here / "glands" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(here / "glands" / part / f"{case}.png")
    code, _, err = cli("init", here / "glands")
    assert code == 0, err
    text = (here / "glands.yaml").read_text()
    assert "value_map: {0x00ff00: 1, 0xff0000: 2}" in text
    assert "extends: base/2d" in text
    code, out, err = cli("plan", here / "glands.yaml")
    assert code == 0, out + err
