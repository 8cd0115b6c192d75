"""The single rules of the planner, on plain numbers."""

import math

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.planning.fingerprint import Intensity, modality
from medseg.planning.intensity import normalisations
from medseg.planning.memory import GpuMemory, plain_activations, residual_activations
from medseg.planning.patch import first_patch
from medseg.planning.pooling import divisor, kernels, pooling_strides
from medseg.planning.spacing import check_given, median_shape, percentile, target_spacing

HU = Intensity(100, -900.0, 2000.0, 60.0, 30.0, -20.0, 62.0, 180.0)


class TestSpacing:
    def test_is_the_median_per_axis(self):
        spacings = [(1.0, 1.0, 2.0), (0.8, 1.2, 2.0), (0.9, 1.1, 3.0)]
        assert target_spacing(spacings, [(100, 100, 100)] * 3)[0] == (0.9, 1.1, 2.0)

    def test_coarse_axis_takes_its_tenth_percentile(self):
        thick = [2.0, 4.0, 5.0, 6.0, 7.0]
        found, reason = target_spacing([(0.7, 0.7, z) for z in thick], [(300, 300, 30)] * 5)
        assert found[2] == pytest.approx(np.percentile(thick, 10))
        assert "10th percentile" in reason

    def test_coarse_axis_never_gets_finer_than_the_others(self):
        thick = [0.5, 0.5, 5.0, 5.0, 5.0]
        found, _ = target_spacing([(0.7, 0.9, z) for z in thick], [(300, 300, 30)] * 5)
        assert found == (0.7, 0.9, 0.9)

    def test_coarse_axis_with_many_voxels_keeps_its_median(self):
        found, _ = target_spacing([(0.7, 0.7, z) for z in (2.0, 5.0, 6.0)], [(300, 300, 101)] * 3)
        assert found[2] == 5.0

    def test_three_times_coarser_is_not_yet_anisotropic(self):
        found, _ = target_spacing([(1, 1, z) for z in (1.0, 3.0, 3.0)], [(300, 300, 30)] * 3)
        assert found[2] == 3.0

    def test_float32_noise_is_rounded_away(self):
        noisy = float(np.float32(0.9999999776))
        assert target_spacing([(noisy, noisy)], [(10, 10)])[0] == (1.0, 1.0)

    def test_median_shape_is_taken_at_the_target(self):
        found = median_shape([(1, 1, 2), (2, 2, 2)], [(10, 10, 10), (10, 10, 10)], (1, 1, 1))
        assert found == (15, 15, 20)

    @pytest.mark.parametrize("percent", [0, 10, 50, 99.5, 100])
    def test_percentile_equals_numpy(self, percent):
        values = [3.0, 1.0, 4.0, 1.0, 5.0]
        assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))


class TestPooling:
    def test_isotropic_axes_are_halved_together(self):
        assert pooling_strides((1, 1, 1), (36, 50, 35)) == ((1, 1, 1), *[(2, 2, 2)] * 3)

    def test_coarse_axis_waits_for_the_fine_ones(self):
        strides = pooling_strides((3.6, 0.625, 0.625), (20, 320, 256))
        assert strides[1:4] == ((1, 2, 2), (1, 2, 2), (2, 2, 2))

    def test_axis_stops_at_four_voxels(self):
        assert divisor(pooling_strides((1, 1, 1), (64, 64, 8))) == (16, 16, 2)

    def test_lone_axis_needs_twelve_voxels(self):
        assert len(pooling_strides((1, 1), (11, 4))) == 2  # the one that is always there
        assert pooling_strides((1, 1), (12, 4))[1] == (2, 1)

    def test_coarse_axis_too_small_to_halve_does_not_hold_the_others_back(self):
        strides = pooling_strides((0.1, 1.0, 1.0), (4, 64, 64))
        assert strides[1] == (1, 2, 2)

    def test_number_of_poolings_can_be_limited(self):
        assert len(pooling_strides((1, 1, 1), (128,) * 3, max_pools=3)) == 4

    def test_tiny_image_is_halved_once(self):
        assert pooling_strides((1, 1, 1), (6, 6, 1)) == ((1, 1, 1), (2, 2, 1))

    def test_kernels_of_coarse_axes_are_one_until_spacings_meet(self):
        strides = pooling_strides((3.6, 0.625, 0.625), (20, 320, 256))
        found = kernels((3.6, 0.625, 0.625), strides)
        assert found[:3] == ((1, 3, 3), (1, 3, 3), (3, 3, 3))
        assert found[-1] == (3, 3, 3)
        assert len(found) == len(strides)

    def test_isotropic_kernels_are_three(self):
        assert set(kernels((1, 1), ((1, 1), (2, 2), (2, 2)))) == {(3, 3)}


class TestPatch:
    def test_first_patch_is_a_cube_in_mm(self):
        patch = first_patch((0.5, 1.0, 2.0), (10**6,) * 3)
        edges = [n * s for n, s in zip(patch, (0.5, 1.0, 2.0), strict=True)]
        assert max(edges) - min(edges) < 2
        assert math.prod(patch) == pytest.approx(256**3, rel=0.01)

    def test_first_patch_is_clipped_to_the_median_image(self):
        assert first_patch((1, 1, 1), (36, 50, 400)) == (36, 50, 256)


class TestMemory:
    @pytest.mark.parametrize("dims", [2, 3])
    @pytest.mark.parametrize("residual", [False, True])
    def test_counts_what_the_convolutions_of_a_real_unet_put_out(self, dims, residual):
        import torch
        from torch import nn

        from medseg.networks import ResidualUNet, UNet

        shape = {
            "spatial_dims": dims,
            "in_channels": 1,
            "num_classes": 3,
            "features": (4, 6, 8, 8),
            "strides": ((1,) * dims, (2,) * dims, (2,) * (dims - 1) + (1,), (2,) * dims),
        }
        blocks = (1, 3, 2, 2)
        network = ResidualUNet(**shape, blocks_per_stage=blocks) if residual else UNet(**shape)
        counted = []
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
                module.register_forward_hook(lambda m, i, out: counted.append(out.numel()))
        size = (16, 16, 8)[:dims]
        network(torch.zeros(1, 1, *size))
        numbers = (size, shape["strides"], shape["features"])
        if residual:
            found = residual_activations(*numbers, blocks=blocks, num_classes=3)
            # A shortcut that changes the size alone is pooled; nnU-Net counts it all the same.
            found -= 8 * math.prod(n // d for n, d in zip(size, network.divisor, strict=True))
        else:
            found = plain_activations(*numbers, num_classes=3)
        assert found == sum(counted)

    def test_the_reference_batch_is_what_fits_the_reference_patch(self):
        limit = GpuMemory(8, {3: 560.0}, batch={3: 2}, least={3: 2})
        assert limit.room((1, 1, 1), 560) == 2


class TestNormalisation:
    def test_ct_takes_the_foreground_of_the_data_set(self):
        (found,), reason = normalisations(["CT"], [HU], crop_ratio=1.0)
        assert (found.scheme, found.lower, found.upper) == ("ct", -20.0, 180.0)
        assert (found.mean, found.std) == (60.0, 30.0)
        assert "CT" in reason

    @pytest.mark.parametrize(("ratio", "masked"), [(0.74, True), (0.75, False), (1.0, False)])
    def test_zscore_is_masked_only_where_the_crop_takes_a_quarter(self, ratio, masked):
        (found,), _ = normalisations(["T1w"], [HU], crop_ratio=ratio)
        assert (found.scheme, found.masked) == ("zscore", masked)

    def test_ct_is_never_masked(self):
        (found,), _ = normalisations(["ct"], [HU], crop_ratio=0.2)
        assert not found.masked

    def test_channels_are_decided_one_by_one(self):
        found, _ = normalisations(["CT", "PET"], [HU, HU], crop_ratio=1.0)
        assert [n.scheme for n in found] == ["ct", "zscore"]

    def test_ct_without_labelled_voxels_falls_back_and_says_so(self):
        (found,), reason = normalisations(["CT"], [None], crop_ratio=1.0)
        assert found.scheme == "zscore"
        assert "without a labelled voxel" in reason

    @pytest.mark.parametrize(
        ("channel", "scheme", "scale"),
        [
            ("noNorm", "none", 1.0),
            ("rescale_to_0_1", "minmax", 1.0),
            ("rgb_to_0_1", "ct", 255.0),
            ("zscore", "zscore", 1.0),
            ("R", "zscore", 1.0),
        ],
    )
    def test_names_that_ask_for_a_scheme_get_it(self, channel, scheme, scale):
        (found,), _ = normalisations([modality(channel)], [HU], crop_ratio=1.0)
        assert (found.scheme, found.std) == (scheme, scale)


@pytest.mark.parametrize(
    ("given", "word"),
    [((1000.0,) * 3, "coarse"), ((1e-7,) * 3, "large"), ((1.0, 1.0, 90.0), "coarse")],
)
def test_a_given_spacing_that_leaves_no_image_is_refused(given, word):
    spacings, shapes = [(1.0, 1.0, 2.0)] * 3, [(40, 40, 20)] * 3
    with pytest.raises(InputError, match=word) as error:
        check_given(spacings, shapes, given)
    assert "[1.0, 1.0, 2.0]" in str(error.value)
    check_given(spacings, shapes, (2.0, 2.0, 2.0))


def test_a_flat_image_may_have_any_spacing_along_its_flat_axis():
    check_given([(1.0, 1.0, 2.0)], [(40, 40, 1)], (1.0, 1.0, 90.0))
