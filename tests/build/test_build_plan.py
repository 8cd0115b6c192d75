from dataclasses import replace

import pytest

from medseg import build
from medseg.errors import InputError
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity
from medseg.recipe import load_text

STATS = Intensity(1000, 0.0, 500.0, 100.0, 20.0, 10.0, 99.0, 400.0)
CASE = CaseFingerprint(
    id="case",
    shape=(36, 50, 35),
    spacing=(1.0, 1.0, 1.0),
    orientation="RAS",
    cropped_shape=(36, 50, 35),
    image_dtype="float32",
    label_dtype="uint8",
    foreground=(STATS,),
    nonzero=(STATS,),
    label_voxels=(100, 100),
)
FOUND = Fingerprint(("MRI",), {"values": {"background": 0, "a": 1}}, (CASE,) * 20, (STATS,))
RESIDUAL = "plan: {preset: resenc_m}\n"


class TestNetworkOfThePreset:
    @pytest.mark.parametrize("preset", ["resenc_s", "resenc_m", "resenc_l", "resenc_xl"])
    def test_residual_presets_bring_the_residual_network(self, preset):
        recipe = load_text(f"plan: {{preset: {preset}}}")
        assert recipe.network.name == "residual_unet" and not recipe.network.arguments
        assert build.other_network(recipe) is None

    def test_arguments_without_a_name_are_of_that_network(self):
        recipe = load_text(RESIDUAL + "network: {deep_supervision: true}")
        assert recipe.network.name == "residual_unet"
        assert recipe.network.arguments == {"deep_supervision": True}

    @pytest.mark.parametrize("preset", ["auto", "standard", "fast"])
    def test_other_presets_bring_the_plain_one(self, preset):
        recipe = load_text(f"plan: {{preset: {preset}}}")
        assert recipe.network.name == "unet" and build.other_network(recipe) is None

    def test_a_network_that_the_recipe_names_stays_and_is_talked_about(self):
        recipe = load_text(RESIDUAL + "network: unet")
        assert recipe.network.name == "unet"
        assert "the recipe names unet: that is trained" in build.other_network(recipe)
        assert "network=residual_unet" in build.other_network(recipe)

    def test_blocks_that_the_recipe_sets_stay_and_are_talked_about(self):
        recipe = load_text(RESIDUAL + "network: {name: residual_unet, blocks_per_stage: 1}")
        assert "network.blocks_per_stage=null" in build.other_network(recipe)

    def test_a_resolved_recipe_says_the_same_again(self):
        recipe = load_text(RESIDUAL)
        assert load_text(recipe.to_yaml()) == recipe


class TestPlan:
    def test_choices_reach_the_planner(self):
        recipe = load_text("plan: {configuration: 2d, preset: resenc_l}")
        planned = build.build_plan(recipe, FOUND)
        assert planned.configuration == "2d"
        assert planned.plan.patch_size.count(1) == 1

    @pytest.mark.parametrize(
        ("data", "channels", "expected"),
        [
            ("{}", ("CT", "T1"), ("ct", "zscore")),
            ("{modality: ct}", ("portal venous", "0000"), ("ct", "ct")),
            ("{modality: mr}", ("CT", "T1"), ("zscore", "zscore")),
            ("{modality: ct}", ("noNorm", "rescale_to_0_1"), ("none", "minmax")),
            ("{modality: ct, channels: {a: mr, b: ct}}", ("a", "b"), ("zscore", "ct")),
        ],
        ids=["by name", "all ct", "all mr", "what names ask for stays", "a mapping knows better"],
    )
    def test_a_stated_modality_speaks_for_channels_of_any_name(self, data, channels, expected):
        two = replace(CASE, foreground=(STATS,) * 2, nonzero=(STATS,) * 2)
        found = Fingerprint(channels, FOUND.labels, (two,) * 5, (STATS,) * 2)
        plan = build.build_plan(load_text(f"data: {data}"), found).plan
        assert tuple(n.scheme for n in plan.preprocessing.normalisation) == expected

    def test_choices_are_no_overrides(self):
        recipe = load_text("plan: {configuration: 3d_fullres, preset: fast, batch_size: 3}")
        assert build.plan_overrides(recipe) == {"batch_size": 3}

    def test_a_configuration_that_the_data_lack_names_the_line(self):
        recipe = load_text("seed: 1\nplan:\n  configuration: 3d_lowres", source="my.yaml")
        with pytest.raises(InputError, match="no low-resolution stage") as caught:
            build.build_plan(recipe, FOUND)
        assert "my.yaml:2" in str(caught.value)

    def test_values_that_nothing_follows_say_so(self):
        text = "network: monai.SegResNet\nloss: monai.DiceLoss"
        reasons = build.build_plan(load_text(text), FOUND).reasons
        for key in ("features", "strides", "kernels"):
            assert reasons[key].endswith("monai.SegResNet takes no notice of it")
        assert reasons["batch_dice"].endswith("the loss monai.DiceLoss takes no notice of it")

    @pytest.mark.parametrize("network", ["unet", "monai.UNet", "monai.DynUNet", "mine.nets:Net"])
    def test_values_that_a_network_follows_say_nothing(self, network):
        reasons = build.build_plan(load_text(f"network: {network}"), FOUND).reasons
        assert not any("takes no notice" in reason for reason in reasons.values())


class TestBatchDice:
    @pytest.fixture
    def dataset(self, tmp_path):
        return build.build_dataset(
            load_text("data: {format: phantom, phantom: {cases: 2}}"), tmp_path
        )

    @pytest.mark.parametrize(
        ("text", "batch"),
        [
            ("plan: {batch_dice: true}", True),
            ("plan: {batch_dice: false}", False),
            ("plan: {batch_dice: true}\nloss: {name: dice_ce, batch: false}", False),
            ("plan: {batch_dice: false}\nloss: {name: dice, batch: true}", True),
            ("plan: {batch_dice: true}\nloss: focal_tversky", True),
        ],
    )
    def test_the_plan_reaches_a_loss_that_leaves_it_open(self, dataset, text, batch):
        recipe = load_text(text)
        plan = build.build_plan(recipe, FOUND).plan
        loss = build.build_task(recipe, plan, dataset).loss.loss
        (_, dice), *_ = loss.terms
        assert dice.keywords["batch"] is batch

    def test_distances_are_measured_in_the_plans_spacing(self, dataset):
        recipe = load_text("loss: dice_boundary\nplan: {spacing: [1, 1, 3]}")
        plan = build.build_plan(recipe, FOUND).plan
        _, (_, boundary) = build.build_task(recipe, plan, dataset).loss.loss.terms
        assert boundary.keywords["spacing"] == plan.preprocessing.spacing == (1.0, 1.0, 3.0)

    def test_losses_without_dice_are_left_alone(self, dataset):
        recipe = load_text("loss: ce\nplan: {batch_dice: true}")
        build.build_task(recipe, build.build_plan(recipe, FOUND).plan, dataset)


@pytest.mark.parametrize("size", [1, 2])
def test_a_patch_that_the_network_cannot_take_is_refused_with_the_plan(size):
    words = [f"plan.patch_size={size}", "plan.features=[4, 8]"]
    with pytest.raises(InputError, match="two voxels") as error:
        build.build_plan(load_text("seed: 1", overrides=words), FOUND)
    assert "plan.patch_size=" in error.value.remedy
