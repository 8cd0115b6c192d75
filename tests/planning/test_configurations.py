import pytest

from medseg.errors import InputError
from medseg.networks.needs import NetworkNeeds, needs
from medseg.planning.plan import Plan
from medseg.planning.planner import plan

LARGE = (256, 256, 256)
CT = {"shape": (512, 512, 90), "spacing": (0.8, 0.8, 5.0)}


class TestChoice:
    def test_auto_is_full_resolution_and_2d_for_pictures(self, data_set):
        assert plan(data_set((64, 64, 64))).configuration == "3d_fullres"
        assert plan(data_set((64, 64), (1.0, 1.0))).configuration == "2d"

    def test_auto_takes_volumes_of_one_slice_as_slices(self, data_set):
        found = plan(data_set((128, 96, 1), (1.0, 1.0, 5.0)))
        assert found.configuration == "2d"
        assert found.plan.patch_size == (128, 96, 1)

    @pytest.mark.parametrize("name", ["3d_fullres", "3d_lowres"])
    def test_pictures_have_no_volumes(self, data_set, name):
        with pytest.raises(InputError, match="pictures") as caught:
            plan(data_set((64, 64), (1.0, 1.0)), configuration=name)
        assert "2d" in str(caught.value)

    @pytest.mark.parametrize("key", ["configuration", "preset"])
    def test_choices_are_no_values_of_a_plan(self, data_set, key):
        with pytest.raises(InputError, match="stands in the recipe"):
            plan(data_set((64, 64, 64)), overrides={key: "2d"})


class TestLowResolution:
    def test_is_coarser_and_beside_the_full_resolution(self, data_set):
        full, low = (
            plan(data_set(LARGE), configuration=name) for name in ("3d_fullres", "3d_lowres")
        )
        assert full.lowres == low.lowres
        assert low.plan.preprocessing.spacing == pytest.approx(low.lowres.spacing, abs=1e-6)
        assert min(low.plan.preprocessing.spacing) > 1.2
        assert "fewer voxels" in low.reasons["spacing"]
        assert full.plan.batch_dice and not low.plan.batch_dice

    def test_is_refused_where_there_is_none(self, data_set):
        with pytest.raises(InputError, match="no low-resolution stage") as caught:
            plan(data_set((64, 64, 64)), configuration="3d_lowres")
        assert "cover 100%" in str(caught.value) and "3d_fullres" in str(caught.value)

    def test_a_spacing_of_the_user_makes_one(self, data_set):
        found = plan(
            data_set((64, 64, 64)), configuration="3d_lowres", overrides={"spacing": 2}
        ).plan
        assert found.patch_size == (32, 32, 32) and not found.batch_dice

    def test_does_not_depend_on_a_patch_of_the_user(self, data_set):
        free = plan(data_set(LARGE), configuration="3d_lowres")
        fixed = plan(data_set(LARGE), configuration="3d_lowres", overrides={"patch_size": 64})
        assert fixed.plan.preprocessing == free.plan.preprocessing
        assert fixed.plan.patch_size == (64, 64, 64)

    def test_fast_patches_have_one_and_keep_dice_per_patch(self, data_set):
        found = plan(data_set((150, 160, 140)), configuration="3d_lowres", preset="fast")
        assert found.lowres.covered >= 0.25
        assert not plan(data_set((150, 160, 140)), preset="fast").plan.batch_dice


class TestSlices:
    def test_look_along_the_two_finer_axes(self, data_set):
        found = plan(data_set(**CT), configuration="2d").plan
        assert found.patch_size == (512, 512, 1)
        assert all(stride[2] == 1 for stride in found.strides)
        assert set(found.kernels) == {(3, 3, 1)}
        assert found.features[-1] == 512 and found.batch_dice
        assert found.preprocessing.spacing == (0.8, 0.8, 5.0)

    def test_one_number_for_all_axes_is_for_those_of_the_slice(self, data_set):
        found = plan(
            data_set(**CT), configuration="2d", overrides={"patch_size": 64, "kernels": [5, 3]}
        ).plan
        assert found.patch_size == (64, 64, 1)
        assert found.kernels == ((5, 5, 1), (3, 3, 1))

    def test_a_patch_of_several_slices_is_refused(self, data_set):
        with pytest.raises(InputError, match="must be 1 there"):
            plan(data_set(**CT), configuration="2d", overrides={"patch_size": [64, 64, 8]})

    def test_nearest_sizes_are_written_for_volumes(self, data_set):
        with pytest.raises(InputError, match="patch_size") as caught:
            plan(data_set(**CT), configuration="2d", overrides={"patch_size": [60, 64, 1]})
        assert "[64, 64, 1]" in str(caught.value)

    def test_networks_that_halve_every_axis_are_refused(self, data_set):
        with pytest.raises(InputError, match="slice by slice") as caught:
            plan(data_set(**CT), configuration="2d", needs=needs("monai.SegResNet", {}))
        assert "unet" in str(caught.value)

    def test_neighbours_are_kept_and_the_axis_of_the_stack_is_known(self, data_set):
        found = plan(data_set(**CT), configuration="2d", overrides={"neighbours": 2})
        assert (found.plan.neighbours, found.plan.slice_axis) == (2, 2)
        assert Plan.from_dict(found.plan.to_dict()) == found.plan
        assert found.reasons["neighbours"] == "given by the user"
        assert "neighbours" not in plan(data_set(**CT), configuration="2d").plan.to_dict()

    @pytest.mark.parametrize("wrong", [-1, 1.5, True, "1"])
    def test_neighbours_are_whole_numbers(self, data_set, wrong):
        with pytest.raises(InputError, match="not a whole number"):
            plan(data_set(**CT), configuration="2d", overrides={"neighbours": wrong})

    def test_only_slices_have_neighbours(self, data_set):
        with pytest.raises(InputError, match="only what is seen slice by slice") as caught:
            plan(data_set(**CT), overrides={"neighbours": 1})
        assert "plan.configuration: 2d" in caught.value.remedy
        assert plan(data_set(**CT)).plan.slice_axis is None

    def test_what_a_network_wants_in_plane_is_kept(self, data_set):
        wanted = NetworkNeeds((96, 96, 1), (96, 96, 1))
        found = plan(data_set(**CT), configuration="2d", needs=wanted).plan
        assert wanted.problem(found.patch_size) is None


@pytest.mark.parametrize(
    "preset", ["standard", "fast", "resenc_s", "resenc_m", "resenc_l", "resenc_xl"]
)
@pytest.mark.parametrize("name", ["3d_fullres", "3d_lowres", "2d"])
def test_a_whole_plan_as_overrides_comes_back_unchanged(data_set, preset, name):
    data = data_set((512, 512, 400), (0.8, 0.8, 1.5), cases=9)
    found = plan(data, configuration=name, preset=preset)
    assert set(found.reasons) == set(found.plan.to_dict())
    again = plan(data, configuration=name, preset=preset, overrides=found.plan.to_dict())
    assert again.plan == found.plan


def test_another_orientation_turns_the_plan(data_set):
    data = data_set(**CT)
    found = plan(data, overrides={"orientation": "SPR"}).plan
    straight = plan(data).plan
    assert found.preprocessing.spacing == (5.0, 0.8, 0.8)
    assert found.patch_size == tuple(straight.patch_size[axis] for axis in (2, 1, 0))


def test_unknown_preset_is_refused(data_set):
    with pytest.raises(InputError, match="resenc_m"):
        plan(data_set((64, 64, 64)), preset="resenc")
