from __future__ import annotations

from math import prod

import numpy as np
import pytest
import torch
from torch import nn

from medseg.errors import InputError
from medseg.inference.window import SlidingWindow
from medseg.networks import DeepMedic
from medseg.networks.input_context import with_context
from medseg.networks.needs import needs

FEATURES = (30, 30, 40, 40, 40, 40, 50, 50)


def build(*, spatial_dims=2, in_channels=1, num_classes=2, **options):
    torch.manual_seed(0)
    options = {"features": (2,) * 8, "hidden": (4,), **options}
    return DeepMedic(
        spatial_dims=spatial_dims, in_channels=in_channels, num_classes=num_classes, **options
    )


def without_norms(network):
    """Replace the norms, through which every voxel has a part in every other."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.InstanceNorm2d | nn.InstanceNorm3d):
                setattr(module, name, nn.Identity())
    return network


def alone(network, path):
    """Let the network listen to one of its paths."""
    width = network.hidden[0][0].weight.shape[1] // 2
    deaf = slice(width, None) if path == "fine" else slice(0, width)
    with torch.no_grad():
        network.hidden[0][0].weight[:, deaf] = 0
    return network


def seen(network, size, voxel):
    """Return the first and the last voxel of the input that a voxel of the logits depends on."""
    read = [n + 2 * around for n, around in zip(size, network.input_context, strict=True)]
    x = torch.randn(1, network.in_channels, *read, dtype=torch.float64, requires_grad=True)
    network.double()(x)[(0, slice(None), *voxel)].sum().backward()
    places = x.grad[0].abs().sum(0).nonzero()
    return places.amin(0).tolist(), places.amax(0).tolist()


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("in_channels", [1, 4])
def test_parameters_follow_the_closed_form(dims, in_channels):
    # A convolution has (F ** dims * C + 1) * K, the instance norm behind it 2 * K.
    channels = (in_channels, *FEATURES)
    path = sum((3**dims * c + 3) * k for c, k in zip(channels, FEATURES, strict=False))
    judge = (100 + 3) * 150 + (150 + 3) * 150 + (150 + 1) * 5
    network = DeepMedic(spatial_dims=dims, in_channels=in_channels, num_classes=5)
    assert sum(p.numel() for p in network.parameters()) == 2 * path + judge


def test_segments_have_the_published_sizes():
    # Segments of 25 voxels and, averaged by 3, of 19 give 9 (arXiv 1603.05959, section 2.3).
    network = build(spatial_dims=3)
    assert network.input_context == (24, 24, 24)
    assert network.fine(torch.randn(1, 1, 25, 25, 25)).shape[2:] == (9, 9, 9)
    assert network.coarse(torch.randn(1, 1, 19, 19, 19)).shape[2:] == (3, 3, 3)
    assert network(torch.randn(1, 1, 57, 57, 57)).shape == (1, 2, 9, 9, 9)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_receptive_fields_are_17_and_51(dims, residual):
    size, voxel = (6, 9, 6)[:dims], (4, 3, 0)[:dims]
    options = {"spatial_dims": dims, "residual": residual}
    low, high = seen(alone(without_norms(build(**options)), "fine"), size, voxel)
    assert low == [24 + o - 8 for o in voxel] and high == [24 + o + 8 for o in voxel]
    for network in (alone(without_norms(build(**options)), "coarse"), build(**options)):
        low, high = seen(without_norms(network), size, voxel)
        assert low == [3 * (o // 3) for o in voxel]
        assert high == [first + 50 for first in low]


def test_an_axis_that_is_not_averaged_has_the_narrow_field_twice():
    network = without_norms(build(spatial_dims=3, factor=(3, 3, 1)))
    assert network.input_context == (24, 24, 8)
    low, high = seen(network, (6, 6, 4), (3, 0, 2))
    assert low == [3, 0, 2] and high == [53, 50, 18]


def test_a_voxel_beyond_the_field_changes_nothing_and_one_within_does():
    network = without_norms(build(features=(3,) * 8))
    x = torch.randn(1, 1, 54, 54)
    before = network(x)[0, :, 0, 0]
    outside, inside = x.clone(), x.clone()
    outside[0, 0, 51, 20] += 10
    inside[0, 0, 50, 20] += 10
    assert torch.equal(network(outside)[0, :, 0, 0], before)
    assert not torch.allclose(network(inside)[0, :, 0, 0], before)


def pass_through(network):
    """Make each path hand on the middle of what it sees; on positive values that is exact."""
    without_norms(network)
    with torch.no_grad():
        for path in (network.fine, network.coarse):
            for conv, *_ in path:
                conv.weight.zero_()
                conv.weight[(0, 0, *(n // 2 for n in conv.kernel_size))] = 1
        network.head.weight.zero_()
        network.head.weight[0, 0] = network.head.weight[1, 1] = 1
    return network


@pytest.mark.parametrize(
    ("size", "factor"),
    [
        ((6, 9), 3),
        ((7, 5), 3),
        ((4, 11), (1, 4)),
        ((6, 3, 9), 3),
        ((5, 7, 4), (3, 3, 1)),
    ],
)
def test_both_paths_lie_on_the_same_voxels(size, factor):
    network = pass_through(
        build(spatial_dims=len(size), features=(1,) * 8, hidden=(), factor=factor)
    )
    context = network.input_context
    x = torch.rand(1, 1, *(n + 2 * around for n, around in zip(size, context, strict=True)))
    middle = x.numpy()[0, 0][tuple(slice(c, c + n) for c, n in zip(context, size, strict=True))]
    # An oracle of its own: every voxel's block, from the first voxel of the logits on.
    means = np.empty(size, dtype=np.float32)
    for voxel in np.ndindex(*size):
        first = [c + o // f * f for c, o, f in zip(context, voxel, network.factor, strict=True)]
        block = tuple(slice(a, a + f) for a, f in zip(first, network.factor, strict=True))
        means[voxel] = x.numpy()[0, 0][block].mean()
    logits = network(x)[0].detach().numpy()
    np.testing.assert_array_equal(logits[0], middle)
    np.testing.assert_allclose(logits[1], means, rtol=1e-6)


@pytest.mark.parametrize(
    ("image", "patch", "overlap", "factor"),
    [
        ((18, 12), (6, 6), 0.0, 3),
        ((15, 24), (6, 12), 0.5, 3),
        ((12, 6, 8), (6, 6, 4), 0.5, (3, 3, 1)),
    ],
)
def test_windows_give_what_the_whole_image_gives(image, patch, overlap, factor):
    # Wherever windows begin with a block of the averaged path, norms apart: those see a window.
    network = without_norms(build(spatial_dims=len(patch), in_channels=2, factor=factor)).eval()
    x = torch.randn(2, 2, *image)
    with torch.no_grad():
        whole = network(with_context(x, network.input_context))
        windows = SlidingWindow(patch, overlap=overlap, batch_size=3)(network, x)
    assert windows.shape == (2, 2, *image)
    assert torch.allclose(windows, whole, atol=1e-5)


def test_residual_connections_carry_pairs_from_the_second_on():
    for residual in (False, True):
        path = without_norms(build(features=(2, 2, 3, 3), residual=residual)).fine
        with torch.no_grad():
            for conv, *_ in list(path)[2:]:
                conv.weight.zero_()
        x = torch.randn(1, 1, 12, 12)
        expected = torch.zeros(1, 3, 4, 4)
        if residual:  # the third channel is new
            expected[:, :2] = path[1](path[0](x))[..., 2:-2, 2:-2]
        assert torch.equal(path(x), expected)


def test_residual_connections_cost_no_parameter():
    plain, residual = (build(residual=value) for value in (False, True))
    residual.load_state_dict(plain.state_dict())
    x = torch.randn(1, 1, 54, 54)
    assert not torch.allclose(plain(x), residual(x))


def test_dropout_is_for_training_and_only_if_asked():
    x = torch.randn(1, 1, 60, 60)
    network = build(dropout=0.5)
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.eval()(x), network(x))
    assert torch.equal(build()(x), build()(x))


@pytest.mark.parametrize(("dims", "size"), [(2, (5, 4)), (3, (4, 3, 2))])
def test_every_size_is_segmented_and_every_weight_learns(dims, size):
    network = build(spatial_dims=dims, in_channels=4)
    wanted = needs("deepmedic", {"features": (2,) * 8}, spatial_dims=dims)
    logits = network(torch.randn(2, 4, *wanted.input_size(size)))
    assert logits.shape == (2, 2, *size)
    logits.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"features": (4, 4, 8)},
        {"kernel": 5},
        {"factor": 2},
        {"kernel": (3, 3, 1), "factor": (3, 5, 1), "features": (4, 4)},
    ],
)
def test_needs_and_the_network_say_the_same(arguments):
    network = DeepMedic(spatial_dims=3, in_channels=1, num_classes=2, **arguments)
    wanted = needs("deepmedic", arguments)
    assert wanted.context == network.input_context
    assert wanted.problem((7, 5, 1)) is None
    assert wanted.within(2).context == network.input_context[:2]
    size = wanted.input_size((3, 6, 4))
    assert prod(size) == prod(n + 2 * c for n, c in zip((3, 6, 4), wanted.context, strict=True))


def test_a_size_is_wanted_only_by_networks_that_read_around_it():
    assert needs("unet", {"strides": [1, 2]}).input_size((8, 8, 8)) == (8, 8, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial_dims": 4}, "2 or 3"),
        ({"kernel": 4}, "odd"),
        ({"factor": 0}, "factor must be one positive number"),
        ({"factor": (3, 3, 3)}, "2 numbers"),
        ({"features": ()}, "channels"),
        ({"hidden": (0,)}, "channels"),
    ],
)
def test_arguments_out_of_range_are_refused_in_words(options, message):
    with pytest.raises(InputError, match=message):
        build(**options)


def test_a_wrong_input_is_refused_in_words():
    network = build(in_channels=2)
    with pytest.raises(InputError, match="channels"):
        network(torch.zeros(1, 1, 60, 60))
    with pytest.raises(InputError, match="tensor of 4 axes"):
        network(torch.zeros(2, 60, 60))
    for shape in ((48, 60), (51, 51)):
        with pytest.raises(InputError, match=r"more than \(48, 48\)"):
            network(torch.zeros(1, 2, *shape))
