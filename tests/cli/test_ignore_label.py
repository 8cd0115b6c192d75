"""A label that says where nobody has looked, from the files to the scores."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

SLAB = (slice(None), slice(None), slice(12, None))


@pytest.fixture(scope="module")
def partly(phantom, tmp_path_factory):
    """A phantom data set whose labels say 9 in the upper half."""
    folder = tmp_path_factory.mktemp("partly") / "mr"
    shutil.copytree(phantom, folder)
    for path in (folder / "labelsTr").iterdir():
        label = nib.load(path)
        values = np.asarray(label.dataobj).copy()
        values[SLAB] = 9
        nib.save(nib.Nifti1Image(values, label.affine), path)
    return folder


def test_runs_from_files_to_scores_without_ever_predicting_it(cli, recipe, here, partly):
    undeclared = f"data.root={partly}"
    code, _, err = cli("run", recipe, undeclared)
    assert code == 2 and "9" in err and "not declared" in err

    words = (undeclared, "data.labels={head: 1, tail: 2, ignore: 9}")
    code, _, err = cli("run", recipe, *words, "--overwrite")
    assert code == 0, err
    run = here / "runs" / "tiny"
    labels = json.loads((run / "predictions" / "labels.json").read_text())
    assert labels["ignore"] == 9 and "ignore" not in labels["values"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["classes"] == ["head", "tail"]
    for case, scores in metrics["cases"].items():
        mask = np.asarray(nib.load(run / "predictions" / f"{case}.nii.gz").dataobj)
        assert set(np.unique(mask)) <= {0, 1, 2}
        source = nib.load(partly / "labelsTr" / f"{case}.nii.gz")
        known = np.asarray(source.dataobj) != 9
        millilitres = np.prod(source.header.get_zooms()) / 1000
        for value, name in ((1, "head"), (2, "tail")):
            expected = np.count_nonzero(mask[known] == value) * millilitres
            assert scores[name]["volume_pred_ml"] == pytest.approx(expected, rel=1e-4)

    code, _, err = cli("evaluate", run / "predictions", partly / "labelsTr", "-o", "again.json")
    assert code == 0, err
    assert json.loads((here / "again.json").read_text())["per_class"] == metrics["per_class"]
