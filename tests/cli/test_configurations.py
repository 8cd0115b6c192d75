"""Every configuration of volumes trains, and its masks lie on the scanner's grid."""

import json

import nibabel as nib
import numpy as np
import pytest


def masks(run):
    for case in json.loads((run / "splits.json").read_text())[0]["val"]:
        yield case, nib.load(run / "predictions" / f"{case}.nii.gz")


@pytest.mark.parametrize(
    ("settings", "patch"),
    [
        (("plan.configuration=3d_lowres", "plan.spacing=2"), "[16, 16, 16]"),
        (("plan.configuration=2d", "plan.patch_size=16"), "[16, 16, 1]"),
        (("plan.preset=resenc_m", "network.blocks_per_stage=null"), "[16, 16, 16]"),
    ],
)
def test_configuration_runs(cli, recipe, here, phantom, settings, patch):
    code, _, err = cli("run", recipe, *settings)
    assert code == 0, err
    run = here / "runs" / "tiny"
    plan = (run / "plan.yaml").read_text()
    values = sorted(json.loads(patch))
    found = next(line for line in plan.splitlines() if line.startswith("  patch_size: "))
    assert sorted(json.loads(found.split(": ")[1].split("  #")[0])) == values
    for case, mask in masks(run):
        source = nib.load(phantom / "imagesTr" / f"{case}.nii.gz")
        assert mask.shape == source.shape and np.allclose(mask.affine, source.affine)


def test_plan_says_whether_there_is_a_low_resolution_stage(cli, recipe):
    free = ("plan.patch_size=null", "plan.features=null", "plan.batch_size=null")
    code, out, err = cli("plan", recipe, *free)
    assert code == 0, err
    assert "no low-resolution stage" in out


def test_a_configuration_that_the_data_lack_is_refused_before_anything_long(cli, recipe, here):
    code, _, err = cli("run", recipe, "plan.configuration=3d_lowres")
    assert code == 2
    assert "no low-resolution stage" in err and "3d_fullres" in err
    assert not (here / "runs" / "tiny" / "cache").exists()


def test_a_network_beside_a_residual_preset_is_talked_about(cli, recipe, here):
    code, out, err = cli("plan", recipe, "plan.preset=resenc_m")
    assert code == 0, err
    word = "network.blocks_per_stage=null"
    assert word in out + err
    assert word in (here / "runs" / "tiny" / "plan.yaml").read_text()
