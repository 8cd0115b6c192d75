"""A network that reads around what it segments, through every face of the command line."""

import json

import nibabel as nib
import numpy as np

TINY = """\
# A tiny training for tests.
extends: base/mr
data: {{root: "{root}", workers: 0}}
network: {{name: deepmedic, features: [4, 4, 4], hidden: [8]}}
plan: {{patch_size: [12, 12, 12], batch_size: 2}}
trainer: {{steps: 2}}
logger: none
seed: 7
"""


def test_deepmedic_plans_trains_and_predicts(cli, here, phantom):
    (here / "deep.yaml").write_text(TINY.format(root=phantom))
    code, _, err = cli("run", "deep.yaml")
    assert code == 0, err
    run = here / "runs" / "deep"
    assert "deepmedic reads 9 x 9 x 9 voxels more on each side" in (run / "plan.yaml").read_text()
    held_out = json.loads((run / "splits.json").read_text())[0]["val"]
    assert set(json.loads((run / "metrics.json").read_text())["cases"]) == set(held_out)

    code, _, err = cli("predict", run, phantom / "imagesTr", "-o", here / "masks")
    assert code == 0, err
    for case in held_out:
        source = nib.load(phantom / "imagesTr" / f"{case}.nii.gz")
        mask = nib.load(here / "masks" / f"{case}.nii.gz")
        assert mask.shape == source.shape and np.allclose(mask.affine, source.affine)
        # What a training predicted and what its checkpoint predicts are one and the same.
        before = nib.load(run / "predictions" / f"{case}.nii.gz")
        assert np.array_equal(np.asarray(mask.dataobj), np.asarray(before.dataobj))


def test_deepmedic_is_weighed_before_a_training(cli, here, phantom):
    (here / "deep.yaml").write_text(TINY.format(root=phantom))
    code, out, err = cli("doctor", "deep.yaml")
    assert code == 0, out + err


def test_arguments_that_follow_from_the_data_are_refused(cli, here, phantom):
    (here / "deep.yaml").write_text(TINY.format(root=phantom))
    code, _, err = cli("plan", "deep.yaml", "network.kernel=5")
    assert code == 2 and "plan.kernels" in err
    code, _, err = cli("plan", "deep.yaml", "network.factor=[3, 3]")
    assert code == 2 and "factor" in err and "3 numbers" in err
