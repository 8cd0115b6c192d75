import errno
import json
import os
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest

from medseg.cli import guarded
from medseg.cli.parser import parse
from medseg.data import phantoms
from medseg.recipe import load

HEAVY = ("torch", "monai", "pytorch_lightning", "torchio", "SimpleITK", "wandb", "matplotlib")
VERBS = [
    "run",
    "inspect",
    "plan",
    "preprocess",
    "fit",
    "predict",
    "evaluate",
    "describe",
    "validate",
    "init",
    "recipes",
    "doctor",
    "phantom",
    "download",
]


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["recipes"], ["validate"]])
def test_light_verbs_import_nothing_heavy(words):
    code = (
        "import sys; from medseg.cli import main\n"
        f"try: main({words!r})\n"
        "except SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().splitlines()[-1] == "[]"


def test_every_verb_has_help(cli):
    _, out, _ = cli("--help")
    for verb in VERBS:
        assert verb in out
        assert cli(verb, "--help")[0] == 0


def test_an_unknown_verb_is_the_users_mistake(cli):
    assert cli("trian")[0] == 2


def test_overrides_may_follow_options(cli, recipe, here):
    assert cli("plan", recipe, "--quiet", "seed=9")[0] == 0
    assert "seed: 9" in (here / "runs" / "tiny" / "recipe.yaml").read_text()


def test_a_word_that_is_no_override_is_refused(cli, recipe):
    code, _, err = cli("plan", recipe, "overwrite")
    assert code == 2 and "key=value" in err


def test_recipes_lists_what_ships_with_its_purpose(cli_json):
    found = cli_json("recipes")
    assert "quickstart" in found and all(found.values())


def test_a_shipped_recipe_is_printed_to_be_changed(cli, here):
    code, out, _ = cli("recipes", "template")
    assert code == 0 and out.startswith("# yaml-language-server")
    (here / "mine.yaml").write_text(out)
    assert cli("validate", "mine.yaml")[0] == 0
    code, out, err = cli("recipes", "tempalte")
    assert (code, out) == (2, "") and "did you mean 'template'" in err


def test_doctor_answers_for_every_package(cli_json):
    names = {check["name"] for check in cli_json("doctor")}
    assert {"torch", "monai", "devices", "memory", "disk", "W&B"} <= names


def test_validate_reports_every_mistake_with_its_line_in_under_a_second(here):
    (here / "bad.yaml").write_text(
        "extends: base/mr\n"
        "sede: 1\n"
        "data: {format: decathlom}\n"
        "loss: {name: dice_ce, smoth: 1}\n"
        "network: unett\n"
        "trainer: {steps: many}\n"
    )
    command = [sys.executable, "-m", "medseg", "validate", "bad.yaml"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=here)
    assert time.perf_counter() - start < 5  # the bound of a loaded machine; idle, it is under one
    assert done.returncode == 2
    for line in range(2, 7):
        assert f"bad.yaml:{line}: " in done.stderr


def test_init_writes_a_recipe_that_validates_and_is_not_overwritten(cli, phantom, here):
    assert cli("init", phantom, "-o", "mine.yaml")[0] == 0
    assert cli("validate", "mine.yaml")[0] == 0
    code, _, err = cli("init", phantom, "-o", "mine.yaml")
    assert code == 2 and "--overwrite" in err


@pytest.mark.parametrize(
    ("channels", "base"),
    [(["MRI"], "mr"), (["CT"], "ct"), (["CT", "T1"], "common")],
    ids=["mr", "ct", "both"],
)
def test_init_chooses_the_base_by_what_the_channels_show(channels, base, cli, here):
    for case in "ab":
        for name, data in [
            *[(f"images/{case}_{channel}", np.ones((9, 8, 7), np.float32)) for channel in channels],
            (f"labels/{case}", np.tri(9, 8, dtype=np.uint8)[..., None].repeat(7, -1)),
        ]:
            path = here / "study" / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    words = ["data.image_pattern={case}_{channel}", "data.labels={organ: 1}"]
    code, _, err = cli("init", here / "study", *words, "-o", "mine.yaml")
    assert code == 0, err
    assert f"extends: base/{base}\n" in (here / "mine.yaml").read_text()
    assert cli("validate", "mine.yaml")[0] == 0


def test_init_writes_the_preset_of_a_brats_folder(cli, here):
    phantoms.write("brats", here / "brats", cases=2, shape=(24, 24, 20), naming="2023")
    assert cli("init", here / "brats", "-o", "mine.yaml")[0] == 0
    data = load(here / "mine.yaml").data
    assert (data.labels, data.regions) == ("brats2023", True)


def test_inspect_looks_at_a_folder_without_leaving_anything(cli_json, phantom, here):
    found = cli_json("inspect", phantom)
    assert len(found["cases"]) == 6 and list(here.iterdir()) == []


def test_phantom_writes_a_data_set_that_is_recognised(cli, cli_json, here):
    assert cli("phantom", "brats", "b", "--cases", 2)[0] == 0
    assert cli_json("inspect", "b")["channels"] == ["FLAIR", "T1", "T1ce", "T2"]


def test_download_without_a_known_task_suggests_one(cli):
    code, _, err = cli("download", "Task04_Hipocampus")
    assert code == 2 and "Task04_Hippocampus" in err


def test_init_and_inspect_name_what_is_odd_in_real_data(cli, real_data, here):
    folder = real_data("Task04_Hippocampus")
    code, out, _ = cli("init", folder, "-o", "h.yaml")
    assert code == 0
    for word in ("float32 (163", "uint8 (45", "1,704,295", "4.2 orders of magnitude"):
        assert word in out


def test_json_of_a_failing_verb_leaves_standard_output_empty(cli, here):
    code, out, err = cli("inspect", here, "--json")
    assert code == 2 and out == "" and err


def test_version_is_printed(cli):
    code, out, _ = cli("--version")
    assert code == 0 and json.dumps(out).startswith('"medseg ')


@pytest.fixture
def pictures(here):
    """Pictures and masks in one folder, as many public sets come."""
    import numpy as np
    from PIL import Image

    folder = here / "eyes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        Image.fromarray(rng.integers(0, 255, (32, 32), np.uint8)).save(folder / f"eye{i}.png")
        mask = np.zeros((32, 32), np.uint8)
        mask[8:20, 4 + i : 20] = 255
        Image.fromarray(mask).save(folder / f"eye{i}_vessels.png")
    return folder


def test_init_and_inspect_take_a_description_of_the_layout(cli, cli_json, pictures):
    words = (
        "data.format=folders",
        "data.images_folder=.",
        "data.labels_folder=.",
        "data.label_pattern={case}_vessels.png",
        "data.value_map={255: 1}",
        "data.labels={background: 0, vessel: 1}",
    )
    assert len(cli_json("inspect", pictures, *words)["cases"]) == 6
    code, _, err = cli("init", pictures, "-o", "eyes.yaml", *words)
    assert code == 0, err
    assert cli("validate", "eyes.yaml")[0] == 0
    assert len(cli_json("inspect", "eyes.yaml")["cases"]) == 6


@pytest.mark.parametrize("word", ["500", "500 steps", "500steps"])
def test_an_amount_of_steps_may_say_so(word):
    assert parse(["fit", "quickstart", "--extend", word]).extend == 500


@pytest.mark.parametrize(
    ("code", "word"),
    [(errno.EACCES, "permission"), (errno.EROFS, "permission"), (errno.ENOSPC, "free some space")],
)
def test_what_the_system_refuses_comes_with_its_own_remedy(capsys, code, word):
    def act():
        raise OSError(code, os.strerror(code), "data")

    assert guarded(act) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: data: {os.strerror(code)}") and word in said
