"""``medseg describe`` of a name, a recipe, a checkpoint and a run."""

from __future__ import annotations

import json
import shutil

import pytest

from medseg.networks import UNet
from medseg.recipe.shipped import shipped

SMALL = ["--spatial-dims", 2, "--features", 4, 6, "--patch", 16, 16]


def parameters(**options):
    return sum(p.numel() for p in UNet(**options).parameters())


def test_a_name_is_described_with_the_numbers_given(cli_json):
    found = cli_json("describe", "unet", *SMALL, "--channels", 2, "--classes", 3)
    options = {"spatial_dims": 2, "in_channels": 2, "num_classes": 3, "features": (4, 6)}
    assert found["totals"]["parameters"] == parameters(**options)
    assert found["totals"]["parameters"] == sum(a["parameters"] for a in found["layers"])
    assert found["totals"]["flops"] == sum(a["flops"] for a in found["layers"])
    assert (found["input"], found["output"]) == ([2, 16, 16], [3, 16, 16])
    assert found["totals"]["field"] == [15, 15]
    assert found["spacing"] is None


def test_the_primers_example_comes_out_as_on_the_slide(cli_json):
    layers = cli_json("describe", "unet", *SMALL)["layers"]
    first = [layer for layer in layers if layer["kernel"]][:2]
    assert [(layer["kernel"], layer["stride"]) for layer in first] == [([3, 3], [1, 1])] * 2
    assert first[1]["field"] == [5, 5]


def test_the_table_says_what_a_person_asks(cli):
    code, out, _ = cli("describe", "dilated_unet", *SMALL)
    assert code == 0
    for word in ("InstanceNorm2d", "ConvTranspose2d", "4 x 16 x 16", "5 x 5", "dilation", "FLOPs"):
        assert word in out
    assert "receptive field: " in out and "Norms are left out" in out
    assert "mm" not in out.replace("mean of", "")


def test_more_arguments_go_to_the_network(cli_json):
    one = cli_json("describe", "unet", *SMALL)
    two = cli_json("describe", "unet", *SMALL, "--set", "convs_per_stage=[1,3]")
    assert two["totals"]["parameters"] > one["totals"]["parameters"]
    monai = cli_json("describe", "monai.UNet", *SMALL, "--set", "act=relu")
    assert monai["network"] == "monai.UNet" and monai["totals"]["field"]


def test_a_patch_decides_the_dimensions_and_none_gives_one_that_fits(cli_json):
    assert cli_json("describe", "unet", "--patch", 32, 32)["input"] == [1, 32, 32]
    tokens = ["hidden_size=12", "mlp_dim=12", "num_heads=2", "feature_size=4"]
    words = [word for token in tokens for word in ("--set", token)]
    found = cli_json("describe", "unetr", "--spatial-dims", 2, *words)
    assert found["totals"]["field"] is None and "attn" in found["totals"]["whole"]


def test_what_reads_around_its_patch_is_shown_with_what_it_reads(cli_json):
    words = ["--set", "features=[2,2]", "--set", "hidden=[4]"]
    found = cli_json("describe", "deepmedic", "--patch", 12, 12, *words)
    assert found["output"][1:] == [12, 12]
    assert found["input"][1] > 12


def test_a_picture_is_drawn_and_not_overwritten(cli, here):
    words = ["describe", "unet", *SMALL, "--picture", "net.png"]
    assert cli(*words)[0] == 0
    drawn = (here / "net.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    code, _, err = cli(*words)
    assert code == 2 and "--overwrite" in err
    assert cli(*words, "--overwrite", "--quiet")[:2] == (0, "")
    code, _, err = cli(*words[:-1], "net.pdf")
    assert code == 2 and ".png or .svg" in err
    assert [file.name for file in here.iterdir()] == ["net.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["unett"], "did you mean 'unet'"),
        (["quickstrat"], "did you mean 'quickstart'"),
        (["monai.SegResnet"], "did you mean 'monai.SegResNet'"),
        (["nobody.here:Net"], "--trust nobody"),
        (["nothing.yaml"], "nothing.yaml"),
        (["nothing.ckpt"], "there is no such run or checkpoint"),
        (["unet", "--patch", 30, 30], "plan.patch_size"),
        (["unet", "--patch", 32], "two numbers for 2D"),
        (["unet", "--patch", 32, 32, "--spatial-dims", 3], "two numbers for 2D"),
        (["unet", "--set", "feature=3"], "did you mean 'features'"),
        (["unet", "features=[4,8]"], "--set features="),
        (["quickstart", "--channels", 3], "--channels"),
    ],
)
def test_mistakes_of_the_user_are_said_with_their_remedy(cli, here, words, message):
    code, out, err = cli("describe", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_names_of_networks_and_recipes_do_not_collide():
    from medseg.networks.registry import OURS

    names = {part for name in shipped() for part in (name, name.rsplit("/", 1)[-1])}
    assert not names & set(OURS)


def test_a_recipe_is_planned_and_described_in_mm(cli_json, recipe, here):
    found = cli_json("describe", recipe)
    plan = (here / "runs" / "tiny" / "plan.yaml").read_text()
    assert "patch_size: [16, 16, 16]" in plan
    assert found["input"] == [1, 16, 16, 16]
    assert found["output"][0] == 3
    field, mm = found["totals"]["field"], found["totals"]["field_mm"]
    assert mm == pytest.approx([n * s for n, s in zip(field, found["spacing"], strict=True)])
    assert not (here / "runs" / "tiny" / "cache").exists()


def test_neighbouring_slices_are_channels_of_the_network_that_is_described(cli_json, recipe):
    words = ["plan.configuration=2d", "plan.patch_size=[16,16,1]", "plan.neighbours=2"]
    assert cli_json("describe", recipe, *words)["input"] == [5, 16, 16, 1]


def test_a_run_is_described_without_its_data(cli, cli_json, recipe, phantom, here):
    copy = here / "copy"
    shutil.copytree(phantom, copy)
    words = [recipe, f"data.root={copy}"]
    before = cli_json("describe", *words)
    shutil.rmtree(copy)
    assert cli_json("describe", *words) == before
    code, _, err = cli("describe", recipe, f"data.root={copy}", "run_dir=elsewhere")
    assert code == 2 and "copy" in err


def test_another_network_needs_another_run_folder_and_leaves_this_one_alone(
    cli, cli_json, recipe, here
):
    run = here / "runs" / "tiny"
    assert cli("fit", recipe, "-q")[0] == 0
    assert cli_json("describe", recipe)["network"] == "residual_unet"
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    words = ["describe", recipe, "network=unet", "plan.patch_size=[8,16,16]"]
    # --overwrite is about the picture and not about the run.
    code, _, err = cli(*words, "--picture", "a.png", "--overwrite")
    assert code == 2 and "run_dir" in err
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    other = cli_json(*words, "run_dir=runs/other")
    assert (other["network"], other["input"]) == ("unet", [1, 8, 16, 16])


def test_a_folder_in_which_nothing_was_trained_takes_another_network(cli_json, recipe):
    assert cli_json("describe", recipe)["network"] == "residual_unet"
    other = cli_json("describe", recipe, "network=unet", "plan.patch_size=[8,16,16]")
    assert (other["network"], other["input"]) == ("unet", [1, 8, 16, 16])


def test_a_checkpoint_and_its_run_are_described_by_their_own_record(cli, cli_json, recipe, here):
    assert cli("fit", recipe, "-q")[0] == 0
    run = here / "runs" / "tiny"
    wanted = cli_json("describe", recipe)
    (here / "tiny.yaml").unlink()
    for subject in (run / "fold_0" / "checkpoints" / "last.ckpt", run):
        assert json.dumps(cli_json("describe", subject)) == json.dumps(wanted)
    code, out, _ = cli("describe", run)
    assert code == 0 and "field (mm)" in out
    code, _, err = cli("describe", run, "--patch", 8, 8, 8)
    assert code == 2 and "checkpoint" in err


def test_a_file_of_another_kind_is_no_checkpoint(cli, here):
    (here / "a.ckpt").write_text("no")
    code, _, err = cli("describe", "a.ckpt")
    assert code == 2 and "not a checkpoint" in err
