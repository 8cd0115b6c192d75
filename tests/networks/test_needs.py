from __future__ import annotations

import subprocess
import sys

import pytest

from medseg.networks.needs import NetworkNeeds, nearest_sizes, needs


def test_needs_are_read_without_torch():
    code = (
        "import sys, medseg.networks, medseg.networks.needs as n;"
        "n.needs('monai.SwinUNETR', {});"
        "assert not {'torch', 'monai', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "arguments", "divisor"),
    [
        ("unet", {"spatial_dims": 3, "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]]}, (2, 4, 4)),
        ("residual_unet", {"spatial_dims": 2, "strides": [1, 2, 2]}, (4, 4)),
        ("dilated_unet", {}, (1, 1, 1)),
        ("attention_unet", {"strides": [1, [1, 2, 2], 2]}, (2, 4, 4)),
        ("unet_plus_plus", {"spatial_dims": 2, "strides": [1, 2, [2, 1]]}, (4, 2)),
        ("pkg.mod:Net", {"spatial_dims": 2}, (1, 1)),
        ("monai.DynUNet", {"strides": [1, 2, (2, 2, 1)]}, (4, 4, 2)),
        ("monai.UNet", {"channels": [4, 8, 16], "strides": [2, 2, 2]}, (4, 4, 4)),
        ("monai.AttentionUnet", {"channels": [4, 8, 16], "strides": [2, [1, 2, 2]]}, (2, 4, 4)),
        ("monai.SegResNet", {}, (8, 8, 8)),
        ("monai.SegResNet", {"blocks_down": [1, 2]}, (2, 2, 2)),
        ("monai.SegResNetDS", {"spatial_dims": 2}, (8, 8)),
        ("monai.HighResNet", {}, (1, 1, 1)),
        ("monai.SwinUNETR", {"spatial_dims": 2}, (32, 32)),
        ("monai.SwinUNETR", {"patch_size": 1, "spatial_dims": 2}, (1, 1)),
        ("monai.UNETR", {}, (16, 16, 16)),
        ("monai.VNet", {}, (16, 16, 16)),
        ("monai.MedNeXt", {}, (16, 16, 16)),
        ("monai.FlexibleUNet", {"spatial_dims": 2}, (32, 32)),
        ("monai.AHNet", {}, (128, 128, 32)),
        ("monai.AHNet", {"psp_block_num": 0, "spatial_dims": 2}, (32, 32)),
    ],
)
def test_the_divisor_follows_from_name_and_arguments(name, arguments, divisor):
    assert needs(name, arguments).divisor == divisor


def test_the_dimension_may_be_given_before_there_is_a_plan():
    assert needs("monai.swinunetr", {}, spatial_dims=2).divisor == (32, 32)


def test_a_size_is_judged_in_words():
    wants = NetworkNeeds((2, 4), (4, 4), (4, 4))
    assert wants.problem((8, 4)) is None
    assert "multiple of (2, 4)" in wants.problem((7, 4))
    assert "smaller than (4, 4)" in wants.problem((2, 4))
    assert "two voxels" in wants.problem((6, 4))
    assert "2 axes" in wants.problem((8, 4, 4))


@pytest.mark.parametrize("size", [(1, 1), (7, 4), (5, 9), (4, 4), (64, 64)])
def test_an_enlarged_size_fits_and_holds_the_old_one(size):
    wants = NetworkNeeds((2, 4), (4, 4), (4, 4))
    larger = wants.enlarged(size)
    assert wants.problem(larger) is None
    assert all(new >= old for new, old in zip(larger, size, strict=True))


def test_an_enlarged_size_fits_networks_that_pad_for_themselves():
    wants = needs("monai.BasicUNet", {"spatial_dims": 2})
    assert wants.problem((31, 31))
    assert wants.problem(wants.enlarged((20, 31))) is None


def test_the_nearest_sizes_are_named():
    assert nearest_sizes((10, 16), (4, 8)) == "(8, 16) or (12, 16)"
    assert nearest_sizes((3, 16), (4, 8)) == "(4, 16)"


def test_what_a_network_wants_of_a_slice():
    wanted = NetworkNeeds((16, 8, 1), (16, 32, 1), (16, 8, 1)).within(2)
    assert wanted == NetworkNeeds((16, 8), (16, 32), (16, 8))
    assert NetworkNeeds((16, 8, 1), (16, 32, 1)).within(0) is None
    assert NetworkNeeds((1, 1, 1), (16, 16, 16)).within(2) is None
