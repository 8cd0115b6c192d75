import math
import subprocess
import sys
from dataclasses import replace

import pytest

from medseg.errors import InputError
from medseg.networks.needs import NetworkNeeds
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity
from medseg.planning.network import network_plan
from medseg.planning.plan import Normalisation, Plan
from medseg.planning.planner import plan
from medseg.planning.presets import STANDARD

STATS = Intensity(1000, 0.0, 500.0, 100.0, 20.0, 10.0, 99.0, 400.0)


def fingerprint(
    shapes=((36, 50, 35),) * 208,
    spacing=(1.0, 1.0, 1.0),
    channels=("MRI",),
    classes=("anterior", "posterior"),
    crop=1.0,
):
    labels = {"values": {"background": 0, **{n: i for i, n in enumerate(classes, 1)}}}
    cases = [
        CaseFingerprint(
            id=f"case_{i:03d}",
            shape=tuple(shape),
            spacing=spacing,
            orientation="RAS" if len(shape) == 3 else None,
            cropped_shape=(round(shape[0] * crop), *shape[1:]),
            image_dtype="float32",
            label_dtype="uint8",
            foreground=(STATS,) * len(channels),
            nonzero=(STATS,) * len(channels),
            label_voxels=(100,) * (len(classes) + 1),
        )
        for i, shape in enumerate(shapes)
    ]
    return Fingerprint(tuple(channels), labels, tuple(cases), (STATS,) * len(channels))


def test_hippocampus_is_planned_as_nnunet_plans_it():
    found = plan(fingerprint()).plan
    assert found.patch_size == (40, 56, 40)
    assert found.batch_size == 7
    assert found.features == (32, 64, 128, 256)
    assert found.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    assert set(found.kernels) == {(3, 3, 3)}
    assert found.preprocessing.spacing == (1.0, 1.0, 1.0)
    assert found.preprocessing.normalisation == (Normalisation(scheme="zscore"),)
    assert found.preprocessing.orientation == "RAS"


# What the planner of nnU-Net 2.8.1 gives for these numbers (8 GB), computed with its own code.
@pytest.mark.parametrize(
    ("spacing", "shape", "cases", "classes", "patch", "batch", "stages"),
    [
        pytest.param((1, 1, 1), (36, 50, 35), 260, 3, (40, 56, 40), 9, 4, id="small"),
        pytest.param((1, 1, 1), (140, 171, 137), 1251, 4, (128, 128, 128), 2, 6, id="brain"),
        pytest.param((1, 0.77, 0.77), (482, 512, 512), 131, 3, (128, 128, 128), 2, 6, id="liver"),
        pytest.param((1.37, 1.25, 1.25), (115, 320, 232), 20, 2, (80, 192, 160), 2, 6, id="heart"),
        pytest.param((1.24, 0.79, 0.79), (252, 512, 512), 63, 2, (80, 192, 160), 2, 6, id="lung"),
        pytest.param((1.6, 0.79, 0.79), (187, 512, 512), 41, 2, (64, 192, 160), 2, 6, id="spleen"),
        pytest.param((3.6, 0.62, 0.62), (20, 320, 319), 32, 3, (20, 320, 256), 2, 7, id="thick"),
        pytest.param((2.5, 0.8, 0.8), (96, 512, 512), 281, 3, (40, 224, 224), 2, 6, id="pancreas"),
        pytest.param((3.0, 0.78, 0.78), (150, 512, 512), 126, 2, (56, 192, 192), 2, 6, id="colon"),
        pytest.param((0.6, 2.4, 1.2), (300, 44, 90), 80, 3, (320, 40, 96), 2, 6, id="mixed"),
        pytest.param((1, 1), (512, 512), 100, 2, (512, 512), 5, 8, id="picture"),
        pytest.param((0.95, 1.34), (1386, 1129), 28, 4, (1536, 1024), 2, 9, id="large picture"),
        pytest.param((0.79, 4.26), (1371, 133), 193, 6, (1408, 160), 7, 8, id="thin picture"),
    ],
)
def test_network_is_that_of_nnunet(spacing, shape, cases, classes, patch, batch, stages):
    found = network_plan(spacing, shape, num_cases=cases, num_classes=classes)
    assert (found.patch_size, found.batch_size, len(found.strides)) == (patch, batch, stages)


def test_pictures_are_planned_in_two_dimensions():
    found = plan(fingerprint([(512, 512)] * 100, (1.0, 1.0), ("EM",), ("membrane",))).plan
    assert found.spatial_dims == 2
    assert found.patch_size == (512, 512)
    assert found.preprocessing.orientation is None
    assert found.preprocessing.crop == "none"
    assert found.features[-1] == 512
    assert found.batch_size == 5  # 5 % of 100 pictures


def test_ct_is_found_by_the_channel_name_or_said():
    assert plan(fingerprint(channels=("CT",))).plan.preprocessing.normalisation[0].scheme == "ct"
    said = plan(fingerprint(channels=("0",)), modalities=["CT"])
    assert said.plan.preprocessing.normalisation[0].scheme == "ct"


def test_skull_stripped_images_are_normalised_inside_the_mask():
    found = plan(fingerprint(crop=0.5)).plan
    assert found.preprocessing.normalisation[0].masked
    whole = plan(fingerprint(crop=0.5), overrides={"crop": "none"}).plan
    assert not whole.preprocessing.normalisation[0].masked
    assert whole.patch_size > found.patch_size


def test_every_key_has_a_reason_of_one_line():
    for preset in ("standard", "fast"):
        planned = plan(fingerprint(), preset=preset)
        assert set(planned.reasons) == set(planned.plan.to_dict())
        assert all(reason and "\n" not in reason for reason in planned.reasons.values())


def test_plan_survives_its_plain_form():
    found = plan(fingerprint()).plan
    assert Plan.from_dict(found.to_dict()) == found


def test_boxes_that_are_one_from_the_least_overlap_on_are_so_in_the_plain_form_too():
    found = replace(plan(fingerprint()).plan, overlap=0.0)
    assert Plan.from_dict(found.to_dict()) == found


class TestFast:
    def test_hippocampus_is_small_enough_for_a_cpu(self):
        found = plan(fingerprint(), preset="fast").plan
        assert found.patch_size == (40, 56, 40)
        assert found.batch_size == 2
        assert found.features == (16, 32, 64, 128)

    def test_large_volumes_are_capped(self):
        found = plan(fingerprint([(140, 171, 137)] * 20), preset="fast").plan
        assert 0.7 * 64**3 < math.prod(found.patch_size) <= 64**3
        assert found.features == (16, 32, 64, 128)

    def test_pictures_are_capped(self):
        found = plan(fingerprint([(960, 999)] * 28, (1.0, 1.0)), preset="fast").plan
        assert math.prod(found.patch_size) <= 256**2
        assert found.batch_size == 4


def test_shrinking_ends_even_where_nothing_fits():
    tiny = replace(STANDARD, limit=replace(STANDARD.limit, values={3: 1.0}))
    found = plan(fingerprint([(140, 171, 137)] * 200), preset=tiny).plan
    assert min(found.patch_size) >= 1
    assert found.batch_size == 2


class TestOverrides:
    def test_spacing_moves_the_patch(self):
        planned = plan(fingerprint(), overrides={"spacing": 2})
        assert planned.plan.preprocessing.spacing == (2.0, 2.0, 2.0)
        assert planned.plan.patch_size == (20, 28, 20)
        assert planned.reasons["spacing"] == "given by the user"

    def test_patch_moves_strides_and_batch(self):
        planned = plan(fingerprint(), overrides={"patch_size": [16, 16, 16]})
        assert planned.plan.patch_size == (16, 16, 16)
        assert planned.plan.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2))
        assert planned.plan.features == (32, 64, 128)
        assert planned.plan.batch_size > 7

    def test_patch_larger_than_the_images_is_allowed_and_stated(self):
        planned = plan(fingerprint(), overrides={"patch_size": 64})
        assert planned.plan.patch_size == (64, 64, 64)
        assert "larger than the median image 36 x 50 x 35" in planned.reasons["patch_size"]

    def test_patch_that_cannot_be_pooled_is_refused_with_the_nearest(self):
        with pytest.raises(InputError, match="patch_size") as caught:
            plan(fingerprint(), overrides={"patch_size": [40, 60, 40]})
        assert "[40, 56, 40] or [40, 64, 40]" in str(caught.value)
        for near in ([40, 56, 40], [40, 64, 40]):
            assert plan(fingerprint(), overrides={"patch_size": near}).plan.batch_size >= 2

    def test_fewer_features_are_fewer_stages(self):
        found = plan(fingerprint(), overrides={"features": [8, 16]}).plan
        assert found.features == (8, 16)
        assert len(found.strides) == len(found.kernels) == 2
        assert found.patch_size == (36, 50, 36)

    def test_more_features_than_the_patch_has_stages_are_refused(self):
        with pytest.raises(InputError, match="5 stages"):
            plan(fingerprint(), overrides={"features": [8, 16, 32, 64, 128]})

    def test_strides_move_patch_kernels_and_features(self):
        found = plan(fingerprint(), overrides={"strides": [1, 2, [4, 4, 1]]}).plan
        assert found.strides == ((1, 1, 1), (2, 2, 2), (4, 4, 1))
        assert found.patch_size == (40, 56, 36)
        assert len(found.features) == len(found.kernels) == 3

    def test_kernels_and_batch_are_kept(self):
        found = plan(fingerprint(), overrides={"kernels": [5, 3], "batch_size": 3}).plan
        assert found.kernels == ((5, 5, 5), (3, 3, 3))
        assert found.batch_size == 3

    def test_lists_of_different_lengths_are_refused(self):
        with pytest.raises(InputError, match="one entry per stage"):
            plan(fingerprint(), overrides={"kernels": [3, 3], "features": [8, 16, 32]})

    def test_normalisation_by_name_is_filled_in(self):
        found = plan(fingerprint(), overrides={"normalisation": "ct"}).plan
        assert found.preprocessing.normalisation[0].upper == STATS.p99_5

    def test_normalisation_in_full_is_kept(self):
        window = {"scheme": "ct", "lower": -160, "upper": 240, "mean": 40, "std": 80}
        found = plan(fingerprint(), overrides={"normalisation": [window]}).plan
        assert found.preprocessing.normalisation == (Normalisation(**window),)

    def test_orientation_is_kept(self):
        found = plan(fingerprint(), overrides={"orientation": "LPS"})
        assert found.plan.preprocessing.orientation == "LPS"

    def test_none_means_not_given(self):
        assert plan(fingerprint(), overrides={"patch_size": None}) == plan(fingerprint())

    def test_a_whole_plan_as_overrides_comes_back_unchanged(self):
        found = plan(fingerprint(), preset="fast").plan
        assert plan(fingerprint(), overrides=found.to_dict()).plan == found

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            ({"patchsize": 32}, r"did you mean 'patch_size'"),
            ({"patch_size": [32, 32]}, "one value per axis"),
            ({"patch_size": [32, 32, 0]}, "whole numbers above 0"),
            ({"patch_size": 32.5}, "whole numbers above 0"),
            ({"patch_size": "32"}, "one value per axis"),
            ({"spacing": -1.0}, "numbers above 0"),
            ({"spacing": float("nan")}, "numbers above 0"),
            ({"batch_size": 0}, "whole numbers above 0"),
            ({"batch_size": True}, "whole numbers above 0"),
            ({"strides": [2, 2]}, "first stage keeps"),
            ({"strides": 2}, "entry per stage"),
            ({"kernels": [2, 3]}, "odd"),
            ({"features": [32]}, "two or more stages"),
            ({"crop": "brain"}, "no such rule"),
            ({"orientation": "RAP"}, "codes of three axes"),
            ({"orientation": "XYZ"}, "codes of three axes"),
            ({"normalisation": "histogram"}, "no such scheme"),
            ({"normalisation": ["zscore", "ct"]}, "one entry per channel"),
            ({"normalisation": {"schema": "ct"}}, "schema"),
        ],
    )
    def test_impossible_values_are_refused(self, overrides, message):
        with pytest.raises(InputError, match=message) as caught:
            plan(fingerprint(), overrides=overrides)
        assert f"plan.{next(iter(overrides))}" in str(caught.value)


class TestNeeds:
    def test_patch_fits_the_network(self):
        needs = NetworkNeeds((32, 32, 32), (32, 32, 32))
        found = plan(fingerprint(), needs=needs).plan
        assert found.patch_size == (64, 64, 64)
        big = plan(fingerprint([(140, 171, 137)] * 20), needs=needs, preset="fast").plan
        assert needs.problem(big.patch_size) is None
        assert math.prod(big.patch_size) <= 64**3

    def test_minimum_is_kept_while_shrinking(self):
        needs = NetworkNeeds((1, 1, 1), (96, 96, 16))
        found = plan(fingerprint([(140, 171, 137)] * 20), needs=needs, preset="fast").plan
        assert needs.problem(found.patch_size) is None

    def test_patch_of_the_user_that_the_network_cannot_take_is_refused(self):
        needs = NetworkNeeds((32, 32, 32), (32, 32, 32))
        with pytest.raises(InputError, match="multiple of") as caught:
            plan(fingerprint(), needs=needs, overrides={"patch_size": [40, 56, 40]})
        assert "[64, 64, 64]" in str(caught.value)


def test_fingerprint_without_cases_is_refused():
    empty = Fingerprint(("MRI",), {"values": {"a": 1}}, (), (None,))
    with pytest.raises(InputError, match="no labelled case"):
        plan(empty)


def test_wrong_number_of_modalities_is_refused():
    with pytest.raises(InputError, match="one modality per channel"):
        plan(fingerprint(), modalities=["ct", "pet"])


def test_importing_the_planner_does_not_import_torch():
    code = "import sys, medseg.planning.planner; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_crop_to_a_first_stage_is_planned_for_and_normalisation_is_not_touched():
    whole = fingerprint(shapes=[(200, 180, 160)] * 5, channels=("CT", "MRI"))
    left = {case.id: (60, 50, 40) for case in whole.cases}
    cropped = plan(whole, shapes=left).plan
    small = plan(fingerprint(shapes=[(60, 50, 40)] * 5, channels=("CT", "MRI"))).plan
    assert cropped == small
    assert cropped.patch_size < plan(whole).plan.patch_size
    assert cropped.preprocessing.normalisation == plan(whole).plan.preprocessing.normalisation
