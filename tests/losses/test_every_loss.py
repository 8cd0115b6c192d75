"""What holds for every loss of ours, found through the registry."""

import pytest
import torch

from medseg.losses import DeepSupervisionLoss, region_masks, registry

CASES = [(name, False) for name in registry.EXCLUSIVE] + [(n, True) for n in registry.REGIONS]
SHAPES = {2: (8, 10), 3: (6, 8, 7)}

every_loss = pytest.mark.parametrize(("name", "regions"), CASES)
every_dimension = pytest.mark.parametrize("dims", SHAPES)


def make(name, regions, **arguments):
    return registry.create(name, arguments, regions=regions)


def target_of(index, regions):
    """Turn indices of two classes into what a loss takes: themselves, or whole and core."""
    return region_masks(index, ((1, 2), (2,))) if regions else index


def outputs(regions):
    return 2 if regions else 3


def random_logits(dims, regions, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, outputs(regions), *SHAPES[dims], generator=generator)


def blocks(dims):
    """Make indices with a block of class 1, and of class 2 within it."""
    index = torch.zeros(2, 1, *SHAPES[dims], dtype=torch.uint8)
    index[(..., *[slice(1, 5)] * dims)] = 1
    index[(..., *[slice(2, 4)] * dims)] = 2
    return index


def certain(index, regions, size=30.0):
    """Make logits that say the indices for certain."""
    if regions:
        return (target_of(index, True).float() * 2 - 1) * size
    one_hot = torch.nn.functional.one_hot(index[:, 0].long(), 3).movedim(-1, 1)
    return one_hot.float() * size


def absent(dims):
    return blocks(dims).clamp_max(1)


def background(dims):
    return torch.zeros_like(blocks(dims))


def full(dims):
    return torch.full_like(blocks(dims), 2)


def one_voxel(dims):
    index = background(dims)
    index[(0, 0, *[2] * dims)] = 2
    return index


def wrong(index, regions, size=30.0):
    """Make logits that say the contrary for certain."""
    return -certain(index, True, size) if regions else certain((index + 1) % 3, False, size)


TARGETS = [blocks, absent, background, full, one_voxel]
PREDICTIONS = {
    "random": lambda target, dims, regions: random_logits(dims, regions),
    "undecided": lambda target, dims, regions: torch.zeros_like(random_logits(dims, regions)),
    "empty": lambda target, dims, regions: certain(background(dims), regions),
    "full": lambda target, dims, regions: certain(full(dims), regions),
    "right": lambda target, dims, regions: certain(target, regions),
    "right beyond float16": lambda target, dims, regions: certain(target, regions, 1e5),
    "wrong": lambda target, dims, regions: wrong(target, regions, 1e5),
}


def value_and_gradient(loss, logits, *target):
    logits = logits.clone().requires_grad_()
    value = loss(logits, *target)
    value.backward()
    return value.detach(), logits.grad


@pytest.mark.parametrize("make_target", TARGETS)
@every_dimension
@every_loss
def test_value_and_gradient_are_finite(name, regions, dims, make_target):
    index = make_target(dims)
    target = target_of(index, regions)
    for weights in (None, [0.0, 1.0, 2.0][3 - outputs(regions) :]):
        loss = make(name, regions, class_weights=weights)
        for prediction, logits_of in PREDICTIONS.items():
            value, gradient = value_and_gradient(loss, logits_of(index, dims, regions), target)
            assert value.shape == () and value.dtype == torch.float32
            assert torch.isfinite(value), prediction
            assert torch.isfinite(gradient).all(), prediction


@pytest.mark.parametrize("make_target", TARGETS)
@every_dimension
@every_loss
def test_what_is_right_for_certain_costs_nothing(name, regions, dims, make_target):
    index = make_target(dims)
    value = make(name, regions)(certain(index, regions), target_of(index, regions)).item()
    # The boundary loss goes on below 0, the further inside the better.
    assert value < 1e-4
    assert name in ("boundary", "dice_boundary") or value > -1e-6


@every_dimension
@every_loss
def test_what_is_wrong_for_certain_costs_more_than_what_is_undecided(name, regions, dims):
    index = blocks(dims)
    target = target_of(index, regions)
    against = make(name, regions)(wrong(index, regions), target)
    undecided = make(name, regions)(random_logits(dims, regions) * 0, target)
    assert against > undecided > 0


@every_dimension
@every_loss
def test_nothing_to_learn_from_gives_zero_and_a_gradient_of_zero(name, regions, dims):
    index = torch.full_like(blocks(dims), 254)
    value, gradient = value_and_gradient(
        make(name, regions),
        random_logits(dims, regions),
        target_of(index, regions),
        index != 254,
    )
    assert value.item() == 0.0
    assert gradient.eq(0).all()


@every_dimension
@every_loss
def test_what_stands_at_ignored_voxels_makes_no_difference(name, regions, dims):
    index, valid = blocks(dims), torch.rand(2, 1, *SHAPES[dims]) > 0.3
    other = torch.where(valid, index, torch.randint_like(index, 3))
    logits, noise = random_logits(dims, regions), random_logits(dims, regions, seed=1)
    loss = make(name, regions)
    value, gradient = value_and_gradient(loss, logits, target_of(index, regions), valid)
    same, _ = value_and_gradient(
        loss, torch.where(valid, logits, 9 * noise), target_of(other, regions), valid
    )
    assert value == same
    assert value != loss(logits, target_of(index, regions))
    assert gradient.masked_select(~valid.expand_as(gradient)).eq(0).all()
    assert gradient.masked_select(valid.expand_as(gradient)).ne(0).any()


@pytest.mark.parametrize("weights", [False, True])
@every_dimension
@every_loss
def test_an_ignored_border_is_as_good_as_cut_off(name, regions, dims, weights):
    index, logits = blocks(dims), random_logits(dims, regions)
    index[:, :, 4:] = 254
    arguments = {"class_weights": [1.0, 2.0, 0.5][3 - outputs(regions) :]} if weights else {}
    loss = make(name, regions, **arguments)
    found = loss(logits, target_of(index, regions), (index != 254)[:, 0])
    expected = loss(logits[:, :, :4], target_of(index[:, :, :4], regions))
    torch.testing.assert_close(found, expected)


@every_loss
def test_every_voxel_valid_is_the_same_as_no_mask(name, regions):
    index, logits = blocks(3), random_logits(3, regions)
    target = target_of(index, regions)
    loss = make(name, regions)
    torch.testing.assert_close(loss(logits, target, index < 9), loss(logits, target))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every_loss
def test_half_precision_is_widened(name, regions, dtype):
    logits, target = random_logits(3, regions).to(dtype), target_of(blocks(3), regions)
    value, gradient = value_and_gradient(make(name, regions), logits, target)
    expected = make(name, regions)(logits.float(), target)
    assert value.dtype == torch.float32 and gradient.dtype == dtype
    torch.testing.assert_close(value, expected)


@every_loss
def test_autocast_changes_nothing(name, regions):
    logits, target = random_logits(3, regions), target_of(blocks(3), regions)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = make(name, regions)(logits, target)
    torch.testing.assert_close(found, make(name, regions)(logits, target))


@every_loss
def test_classes_of_equal_weight_are_classes_without_weights(name, regions):
    logits, target = random_logits(3, regions), target_of(blocks(3), regions)
    weighted = make(name, regions, class_weights=[2.0] * outputs(regions))
    torch.testing.assert_close(weighted(logits, target), make(name, regions)(logits, target))


@pytest.mark.parametrize("name", registry.REGIONS)
def test_a_region_without_weight_is_not_learnt(name):
    loss = make(name, True, class_weights=[1.0, 0.0])
    _, gradient = value_and_gradient(loss, random_logits(3, True), target_of(blocks(3), True))
    assert gradient[:, 0].ne(0).any()
    assert gradient[:, 1].eq(0).all()


@every_dimension
@every_loss
def test_deep_supervision_is_the_weighted_sum_over_its_heads(name, regions, dims):
    index = blocks(dims)
    index[:, :, :1] = 254
    coarser = (..., *[slice(1, None, 2)] * dims)
    coarse_index = index[coarser]
    fine = random_logits(dims, regions)
    coarse = random_logits(dims, regions)[(..., *[slice(n // 2) for n in SHAPES[dims]])]
    loss = make(name, regions)
    found = DeepSupervisionLoss(loss, weights=[2, 1])(
        [fine, coarse], target_of(index, regions), index != 254
    )
    expected = 2 * loss(fine, target_of(index, regions), index != 254) + loss(
        coarse, target_of(coarse_index, regions), coarse_index != 254
    )
    torch.testing.assert_close(found, expected / 3)


@pytest.mark.parametrize("strides", [(2, 2), (1, 2), (2, 2, 2), (1, 2, 2)], ids=str)
@every_loss
def test_deep_supervision_teaches_the_heads_of_every_resolution(name, regions, strides):
    shape = (16,) * len(strides)
    index = torch.zeros(2, 1, *shape, dtype=torch.uint8)
    index[(..., *[slice(4, 15)] * len(shape))] = 1
    index[(..., *[slice(8, 15)] * len(shape))] = 2
    generator = torch.Generator().manual_seed(0)
    heads = []
    for _ in range(3):
        head = torch.randn(2, outputs(regions), *shape, generator=generator)
        heads.append(head.requires_grad_())
        shape = tuple(n // s for n, s in zip(shape, strides, strict=True))
    loss = DeepSupervisionLoss(make(name, regions), weights=[4, 2, 1])
    value = loss(heads, target_of(index, regions))
    value.backward()
    assert torch.isfinite(value)
    for head in heads:
        assert torch.isfinite(head.grad).all()
        # Of every output: even where the background does not count, softmax ties it to the rest.
        assert head.grad.flatten(2).abs().sum((0, 2)).gt(0).all()
