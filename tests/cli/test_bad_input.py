"""Mistakes of a user, end to end: exit code 2, the file and the remedy named, no traceback."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest


def edit(path, change):
    """Change the voxels, or the affine, of a NIfTI file in place."""
    image = nib.load(path)
    data, affine = change(np.array(image.dataobj), image.affine.copy())
    nib.save(nib.Nifti1Image(data, affine), path)


def first(folder, part):
    return sorted((folder / part).glob("*.nii.gz"))[0]


def no_json(folder):
    (folder / "dataset.json").write_text("{not json")
    return "dataset.json"


def listed_file_missing(folder):
    path = first(folder, "imagesTr")
    path.unlink()
    return path.name


def path_that_leaves(folder):
    content = json.loads((folder / "dataset.json").read_text())
    content["training"][0]["image"] = "../../outside.nii.gz"
    (folder / "dataset.json").write_text(json.dumps(content))
    return "outside.nii.gz"


def other_shape(folder):
    edit(first(folder, "labelsTr"), lambda d, a: (d[:-1], a))
    return first(folder, "labelsTr").name


def other_affine(folder):
    def move(data, affine):
        affine[:3, 3] += 4.0
        return data, affine

    edit(first(folder, "labelsTr"), move)
    return "mm apart"


def undeclared_value(folder):
    edit(first(folder, "labelsTr"), lambda d, a: (np.where(d == 2, 7, d).astype(np.uint8), a))
    return "7"


def all_background(folder):
    edit(first(folder, "labelsTr"), lambda d, a: (np.zeros_like(d), a))
    return first(folder, "labelsTr").name


def class_nobody_has(folder):
    for path in (folder / "labelsTr").glob("*.nii.gz"):
        edit(path, lambda d, a: (np.where(d == 2, 1, d).astype(np.uint8), a))
    return "tail"


def truncated(folder):
    path = first(folder, "imagesTr")
    path.write_bytes(path.read_bytes()[:-500])
    return path.name


def not_a_number(folder):
    def spoil(data, affine):
        data = data.astype(np.float32)
        data[1, 2, 3] = np.nan
        return data, affine

    edit(first(folder, "imagesTr"), spoil)
    return first(folder, "imagesTr").name


def five_axes(folder):
    edit(
        first(folder, "imagesTr"), lambda d, a: (np.stack([d, d], -1)[..., None, :].repeat(2, 3), a)
    )
    return first(folder, "imagesTr").name


def colours(folder):
    def paint(data, affine):
        rgb = np.zeros(data.shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
        return rgb, affine

    edit(first(folder, "imagesTr"), paint)
    return "RGB"


def one_case(folder):
    content = json.loads((folder / "dataset.json").read_text())
    content["training"] = content["training"][:1]
    content["numTraining"] = 1
    (folder / "dataset.json").write_text(json.dumps(content))
    return "data.fold=all"


MISTAKES = [
    no_json,
    listed_file_missing,
    path_that_leaves,
    other_shape,
    other_affine,
    undeclared_value,
    all_background,
    class_nobody_has,
    truncated,
    not_a_number,
    five_axes,
    colours,
    one_case,
]


@pytest.mark.parametrize("spoil", MISTAKES, ids=lambda f: f.__name__)
def test_a_broken_data_set_stops_before_training_and_names_the_culprit(
    spoil, cli, phantom, here, recipe
):
    folder = here / "broken"
    shutil.copytree(phantom, folder)
    word = spoil(folder)
    code, out, err = cli("run", recipe, f"data.root={folder}")
    assert code == 2, out + err
    assert word in err and "Traceback" not in err
    assert not list((here / "runs").rglob("*.ckpt"))


@pytest.mark.parametrize("make", [lambda f: None, lambda f: f.mkdir()], ids=["missing", "empty"])
def test_a_missing_or_empty_data_folder_is_named(make, cli, here, recipe):
    make(here / "nowhere")
    code, _, err = cli("run", recipe, "data.root=nowhere")
    assert code == 2 and "nowhere" in err and "Traceback" not in err


def test_a_patch_that_cannot_be_pooled_names_the_nearest_that_can(cli, recipe):
    strides = "plan.strides=[[1,1,1],[2,2,2],[2,2,2]]"
    code, _, err = cli(
        "plan", recipe, "plan.patch_size=[17,16,16]", "plan.features=[4,8,8]", strides
    )
    assert code == 2 and "16" in err and "20" in err


def test_a_patch_larger_than_the_images_is_said_and_still_trains(cli, recipe, here):
    code, _, err = cli("run", recipe, "plan.patch_size=[32,32,32]", "trainer.steps=1")
    assert code == 0, err
    assert "larger than" in (here / "runs" / "tiny" / "plan.yaml").read_text()


def test_code_of_an_untrusted_package_is_never_imported(cli, recipe, here):
    (here / "evil.py").write_text("raise SystemExit('imported')")
    code, _, err = cli("run", recipe, "network=evil:Net")
    assert code == 2 and "--trust evil" in err and "imported" not in err.replace("be imported", "")


def test_a_trusted_class_of_the_wrong_kind_is_refused(cli, recipe, here):
    (here / "odd.py").write_text("class Net:\n    pass\n")
    code, _, err = cli("run", recipe, "network=odd:Net", "--trust", "odd")
    assert code == 2 and "odd:Net" in err


def test_a_fold_that_does_not_exist_is_refused(cli, recipe):
    code, _, err = cli("run", recipe, "data.fold=9")
    assert code == 2 and "0 to 4" in err


def test_a_run_folder_with_foreign_files_is_left_alone(cli, recipe, here):
    (here / "thesis").mkdir()
    (here / "thesis" / "chapter.tex").write_text("x")
    code, _, err = cli("run", recipe, "run_dir=thesis", "--overwrite")
    assert code == 2 and "thesis" in err
    assert [p.name for p in (here / "thesis").iterdir()] == ["chapter.tex"]


def test_a_recipe_of_the_users_in_the_run_folder_is_never_replaced(cli, recipe, here):
    (here / "project").mkdir()
    (here / "project" / "recipe.yaml").write_text("# mine\n" + recipe.read_text())
    code, _, err = cli("plan", here / "project" / "recipe.yaml", f"run_dir={here / 'project'}")
    assert code == 2 and "no run wrote" in err
    assert (here / "project" / "recipe.yaml").read_text().startswith("# mine")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[1, 2]", b"", b"{"])
@pytest.mark.parametrize("name", ["fingerprint.json", "stages.json", "splits.json"])
def test_damaged_artefacts_that_can_be_made_again_are(cli, recipe, here, name, content):
    assert cli("preprocess", recipe)[0] == 0
    (here / "runs" / "tiny" / name).write_bytes(content)
    code, _, err = cli("preprocess", recipe)
    assert code == 0, err


@pytest.mark.parametrize("name", ["plan.yaml", "recipe.yaml"])
def test_damaged_files_that_a_person_may_have_edited_are_named(cli, recipe, here, name):
    assert cli("plan", recipe)[0] == 0
    (here / "runs" / "tiny" / name).write_bytes(b"\xff\xfe\x00")
    code, _, err = cli("plan", recipe)
    assert code == 2 and name in err and "Traceback" not in err


@pytest.mark.parametrize("where", ["file/x", "/proc/x", "file"])
def test_a_run_folder_that_cannot_be_is_named(cli, recipe, here, where):
    (here / "file").write_text("x")
    code, _, err = cli("plan", recipe, f"run_dir={where}")
    assert code == 2 and where.split("/")[-2 if "/" in where else -1] in err
    assert "Traceback" not in err


def test_an_absurd_spacing_is_refused_before_memory_runs_out(cli, phantom, here, recipe):
    folder = here / "broken"
    shutil.copytree(phantom, folder)

    def stretch(data, affine):
        affine[:3, :3] = np.diag([2000.0, 2000.0, 2000.0])
        return data, affine

    edit(first(folder, "imagesTr"), stretch)
    edit(first(folder, "labelsTr"), stretch)
    code, _, err = cli("preprocess", recipe, f"data.root={folder}")
    assert code == 2 and "too large" in err and first(folder, "imagesTr").name[:11] in err


def test_a_typo_in_the_data_folder_does_not_cost_the_old_run(cli, recipe, here):
    assert cli("fit", recipe)[0] == 0
    code, _, _ = cli("run", recipe, "data.root=/nowhere", "--overwrite")
    assert code == 2
    assert (here / "runs" / "tiny" / "fold_0" / "checkpoints" / "best.ckpt").is_file()


def test_more_devices_than_there_are_are_refused_with_a_way_out(cli, recipe, here):
    code, _, err = cli("fit", recipe, "trainer.devices=64")
    assert code == 2 and "64 devices are asked for" in err and "trainer.devices=" in err
    assert not (here / "runs").exists()


def test_a_batch_that_cannot_be_split_between_processes_is_refused(cli, recipe):
    code, _, err = cli("fit", recipe, "trainer.devices=3", "trainer.accelerator=cpu")
    assert code == 2 and "plan.batch_size=3" in err


def test_a_spacing_at_which_nothing_is_left_is_refused_with_the_plan(cli, recipe, here):
    code, _, err = cli("plan", recipe, "plan.spacing=1000", "run_dir=other")
    assert code == 2 and "too coarse" in err
    assert cli("plan", recipe)[0] == 0
    plan = here / "runs" / "tiny" / "plan.yaml"
    lines = plan.read_text().splitlines()
    spoilt = ["  spacing: [1e-7, 1e-7, 1e-7]" if "  spacing:" in x else x for x in lines]
    plan.write_text("\n".join(spoilt))
    code, _, err = cli("plan", recipe)
    assert code == 2 and "too large" in err and "plan.yaml" in err
