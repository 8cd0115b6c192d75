"""Detectors: shapes, strides, their parts, and MONAI's RetinaNet over our pyramid."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medseg.errors import InputError
from medseg.networks import ResidualUNet, UNet
from medseg.networks.detection import CentreNet, RetinaNet, RetinaUNet
from medseg.networks.detection.anchor_heads import DELTA_SCALE

STRIDES = {2: (1, 2, (2, 1), 2), 3: (1, (2, 2, 1), 2, 2)}
SIZE = {2: (32, 16), 3: (32, 16, 8)}
LEVELS = {2: ((4, 2), (8, 4)), 3: ((4, 4, 2), (8, 8, 4))}
NETWORKS = {"retina_net": RetinaNet, "retina_unet": RetinaUNet, "centre_net": CentreNet}


def build(name, dims, **kwargs):
    if name != "centre_net":
        kwargs = {"num_anchors": 3, **kwargs}
    return NETWORKS[name](
        spatial_dims=dims,
        in_channels=2,
        num_classes=2,
        **{
            "features": (4, 6, 8, 10),
            "strides": STRIDES[dims],
            "channels": 16,
            **kwargs,
        },
    )


@pytest.mark.parametrize("encoder", ["plain", "residual"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dims", [2, 3])
def test_the_maps_have_the_strides_that_the_network_states(dims, name, encoder):
    network = build(name, dims, encoder=encoder)
    output = network(torch.randn(2, 2, *SIZE[dims]))
    expected = LEVELS[dims][:1] if name == "centre_net" else LEVELS[dims]
    assert network.strides == expected
    anchors = network.num_anchors
    assert anchors == (1 if name == "centre_net" else 3)
    for logits, deltas, stride in zip(*output[:2], expected, strict=True):
        places = tuple(n // s for n, s in zip(SIZE[dims], stride, strict=True))
        assert logits.shape == (2, anchors * 2, *places)
        assert deltas.shape == (2, anchors * 2 * dims, *places)
    if name == "retina_unet":
        assert output.segmentation.shape == (2, 3, *SIZE[dims])
    else:
        assert output.segmentation is None


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dims", [2, 3])
def test_every_weight_learns(dims, name):
    network = build(name, dims)
    output = network(torch.randn(2, 2, *SIZE[dims]))
    maps = [*output.class_logits, *output.box_deltas]
    if output.segmentation is not None:
        maps.append(output.segmentation)
    sum((level**2).mean() for level in maps).backward()
    still = [key for key, p in network.named_parameters() if p.grad is None]
    assert not still


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("encoder", "whole"), [("plain", UNet), ("residual", ResidualUNet)])
def test_the_encoder_is_that_of_the_u_net(encoder, whole, dims):
    network = build("retina_net", dims, encoder=encoder)
    unet = whole(
        spatial_dims=dims,
        in_channels=2,
        num_classes=2,
        features=(4, 6, 8, 10),
        strides=STRIDES[dims],
    )
    network.pyramid.encoder.load_state_dict(unet.encoder.state_dict())


@pytest.mark.parametrize("dims", [2, 3])
def test_any_stages_may_be_levels(dims):
    network = build("retina_unet", dims, levels=(0, 1, 3))
    output = network(torch.randn(1, 2, *SIZE[dims]))
    assert output.class_logits[0].shape[2:] == SIZE[dims]
    assert len(output.class_logits) == len(network.strides) == 3
    assert network.strides[0] == (1,) * dims


def test_a_single_stage_of_two_is_a_level():
    network = build("retina_net", 2, features=(4, 8), strides=(1, 2))
    assert network.strides == ((2, 2),)


@pytest.mark.parametrize("levels", [(), (2, 1), (1, 1), (4,), (-1, 2)])
def test_levels_that_there_are_not_are_refused(levels):
    with pytest.raises(InputError, match="levels"):
        build("retina_net", 2, levels=levels)


@pytest.mark.parametrize(
    "kwargs", [{"num_anchors": 0}, {"head_convs": -1}, {"prior": 1.0}, {"encoder": "resnet"}]
)
def test_numbers_out_of_range_are_refused(kwargs):
    with pytest.raises(InputError):
        build("retina_net", 2, **kwargs)


def test_an_input_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="divisible"):
        build("retina_net", 2)(torch.zeros(1, 2, 30, 16))


@pytest.mark.parametrize("name", NETWORKS)
def test_at_first_objects_are_as_rare_as_the_prior_says(name):
    network = build(name, 2, prior=0.05)
    with torch.no_grad():
        logits = network(torch.randn(2, 2, 32, 16)).class_logits
    assert all(abs(float(level.sigmoid().mean()) - 0.05) < 0.02 for level in logits)


def test_slices_stay_apart_where_no_kernel_looks_across():
    network = RetinaNet(
        spatial_dims=3,
        in_channels=1,
        num_classes=1,
        num_anchors=1,
        features=(4, 8, 8),
        strides=(1, (2, 2, 1), (2, 2, 1)),
        kernels=[(3, 3, 1)] * 3,
        levels=(1, 2),
        channels=8,
    ).eval()
    for module in network.modules():  # norms do look across
        if isinstance(module, nn.GroupNorm | nn.InstanceNorm3d):
            module.forward = lambda x: x
    x = torch.randn(1, 1, 8, 8, 3)
    with torch.no_grad():
        before = network(x).class_logits[0]
        x[..., 2] += 1
        after = network(x).class_logits[0]
    assert torch.equal(before[..., :2], after[..., :2])
    assert not torch.equal(before[..., 2], after[..., 2])


@pytest.mark.parametrize("dims", [2, 3])
def test_with_its_weights_monais_retina_net_says_the_same(dims):
    theirs = pytest.importorskip("monai.apps.detection.networks.retinanet_network")
    from tests.benchmarks.monai_detector import Levels

    ours = build("retina_net", dims, head_convs=4)
    other = theirs.RetinaNet(dims, 2, 3, Levels(ours.pyramid, 16), size_divisible=8)
    for head, conv, last in (
        (ours.heads.classes, other.classification_head.conv, other.classification_head.cls_logits),
        (ours.heads.boxes, other.regression_head.conv, other.regression_head.bbox_reg),
    ):
        for parameter in (*conv.parameters(), *last.parameters()):
            nn.init.normal_(parameter, std=0.2)
        units = [*conv, last]
        assert len(units) == len(head)
        for mine, unit in zip(head, units, strict=True):
            mine.load_state_dict(unit.state_dict())
    x = torch.randn(2, 2, *SIZE[dims])
    output, expected = ours(x), other(x)
    for mine, unit in zip(output.class_logits, expected["classification"], strict=True):
        assert torch.allclose(mine, unit, atol=1e-5)
    for mine, unit in zip(output.box_deltas, expected["box_regression"], strict=True):
        assert torch.allclose(mine, DELTA_SCALE * unit, atol=1e-5)


def test_a_level_is_the_sum_of_all_above_it():
    """Top-down by hand: lateral, plus the enlarged level above, then a convolution."""
    network = build("retina_net", 2)
    pyramid, image = network.pyramid, torch.randn(1, 2, 32, 16)
    features = [image]
    for stage in pyramid.encoder:
        features.append(stage(features[-1]))
    coarse = pyramid.laterals[1](features[4])
    fine = pyramid.laterals[0](features[3]) + pyramid.enlarge[0](coarse)
    levels = pyramid(image)
    assert torch.equal(levels[0], pyramid.smooth[0](fine))
    assert torch.equal(levels[1], pyramid.smooth[1](coarse))
