import inspect

import numpy as np
import pytest
import torch

from medseg.errors import InputError
from medseg.losses import DiceCELoss, DiceLoss, RegionLoss, dice_loss, soft_dice


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, 4, generator=generator)
    target = torch.randint(0, 3, (2, 1, 5, 6, 4), generator=generator)
    return logits, target


@pytest.fixture
def slide():
    """The worked example of the primer: a 4×4 prediction and its target."""
    prediction = [
        [0.01, 0.03, 0.02, 0.02],
        [0.05, 0.12, 0.09, 0.07],
        [0.89, 0.85, 0.88, 0.91],
        [0.99, 0.97, 0.95, 0.97],
    ]
    target = [[0.0] * 4, [0.0] * 4, [1.0] * 4, [1.0] * 4]
    return torch.tensor(prediction)[None, None], torch.tensor(target)[None, None]


def test_primer_example_gives_its_dice(slide):
    assert soft_dice(*slide).item() == pytest.approx(0.9368, abs=5e-5)


def test_primer_example_with_squared_denominator_gives_its_dice(slide):
    assert soft_dice(*slide, squared_denominator=True).item() == pytest.approx(0.9938, abs=5e-5)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("batch", [False, True])
def test_equals_monai(case, background, squared, batch):
    from monai.losses import DiceLoss as Oracle

    logits, target = case
    ours = DiceLoss(include_background=background, squared_denominator=squared, batch=batch)
    oracle = Oracle(
        include_background=background,
        squared_pred=squared,
        batch=batch,
        softmax=True,
        to_onehot_y=True,
    )
    torch.testing.assert_close(ours(logits, target), oracle(logits, target))


def test_gradient_equals_monai(case):
    from monai.losses import DiceLoss as Oracle

    logits, target = case
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    DiceLoss()(ours, target).backward()
    Oracle(include_background=False, softmax=True, to_onehot_y=True)(theirs, target).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_soft_dice_follows_its_formula_in_numpy(case):
    logits, target = case
    p = torch.softmax(logits, 1)
    t = np.eye(3)[target[:, 0].numpy()].transpose(0, 4, 1, 2, 3)
    q = p.numpy().astype(float)
    space = (2, 3, 4)
    expected = (2 * (q * t).sum(space) + 0.5) / (q.sum(space) + t.sum(space) + 0.5)
    np.testing.assert_allclose(soft_dice(p, target, smooth=0.5), expected, rtol=1e-5)


def test_indices_with_or_without_channel_and_any_integer_type_agree(case):
    logits, target = case
    expected = DiceLoss()(logits, target)
    for same in (target.squeeze(1), target.to(torch.uint8), target.to(torch.int32)):
        torch.testing.assert_close(DiceLoss()(logits, same), expected)


def test_masks_and_indices_agree(case):
    logits, target = case
    p = torch.softmax(logits, 1)
    masks = torch.cat([target == i for i in range(3)], 1)
    torch.testing.assert_close(soft_dice(p, masks), soft_dice(p, target))
    torch.testing.assert_close(soft_dice(p, masks.float()), soft_dice(p, target))


def test_works_in_two_dimensions():
    logits = torch.tensor([[-9.0, 9.0], [9.0, -9.0]])[None].unsqueeze(2).expand(1, 2, 3, 2)
    assert DiceLoss()(logits, torch.tensor([1, 0]).expand(1, 3, 2)).item() < 1e-4


def test_weights_turn_the_mean_over_classes_into_a_weighted_one(case):
    logits, target = case
    scores = soft_dice(torch.softmax(logits, 1), target).mean(0)
    expected = 1 - (1 * scores[1] + 3 * scores[2]) / 4
    loss = DiceLoss(class_weights=[7.0, 1.0, 3.0])(logits, target)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("kind", [DiceLoss, DiceCELoss])
@pytest.mark.parametrize("confidence", [0.0, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("predicted", [0, 1, 2])
@pytest.mark.parametrize("squared", [False, True])
def test_absent_class_gives_finite_value_and_gradient(kind, confidence, predicted, squared):
    logits = torch.zeros(2, 3, 4, 4, 4)
    logits[:, predicted] = confidence
    logits.requires_grad_()
    target = torch.zeros(2, 1, 4, 4, 4, dtype=torch.long)  # all background
    loss = kind(squared_denominator=squared)(logits, target)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_absent_class_that_is_not_predicted_costs_nothing():
    logits = torch.zeros(1, 2, 4, 4, 4)
    logits[:, 0] = 100.0
    assert DiceLoss()(logits, torch.zeros(1, 1, 4, 4, 4, dtype=torch.long)).item() < 1e-6


def test_absent_class_that_is_predicted_costs_nearly_one():
    logits = torch.zeros(1, 2, 4, 4, 4)
    logits[:, 1] = 100.0
    assert DiceLoss()(logits, torch.zeros(1, 1, 4, 4, 4, dtype=torch.long)).item() > 0.999


def test_only_the_uncounted_background_weighted_gives_zero(case):
    logits, target = case
    assert DiceLoss(class_weights=[1.0, 0.0, 0.0])(logits, target).item() == 0.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sums_do_not_overflow(dtype):
    # 64³ voxels of probability 1 sum to 262144, beyond float16's 65504.
    logits = torch.zeros(1, 2, 64, 64, 64, dtype=dtype)
    logits[:, 1] = 20.0
    target = torch.ones(1, 1, 64, 64, 64, dtype=torch.uint8)
    loss = DiceLoss()(logits, target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.0, abs=1e-4)


def test_float64_stays_and_gradient_is_right():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 3, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    target = torch.randint(0, 3, (2, 3, 2), generator=generator)
    assert torch.autograd.gradcheck(lambda x: DiceLoss(smooth=0.1)(x, target), logits)


def test_mismatched_target_is_refused(case):
    with pytest.raises(InputError, match="does not match"):
        DiceLoss()(case[0], case[1][..., :-1])


def test_float_indices_are_refused(case):
    with pytest.raises(InputError, match="integer"):
        DiceLoss()(case[0], case[1].float())


@pytest.mark.parametrize("weights", [[1.0, -1.0], [0.0, 0.0], [float("nan"), 1.0], [[1.0, 2.0]]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(InputError, match="weights"):
        DiceLoss(class_weights=weights)


def test_wrong_number_of_weights_is_refused(case):
    with pytest.raises(InputError, match="one class weight per output"):
        DiceLoss(class_weights=[1.0, 2.0])(*case)


def test_smooth_of_zero_is_refused(case):
    with pytest.raises(InputError, match="smooth"):
        DiceLoss(smooth=0.0)(*case)


def test_weights_are_no_part_of_checkpoints():
    assert not DiceCELoss(class_weights=[1.0, 2.0]).state_dict()


@pytest.mark.parametrize("kind", [DiceLoss, DiceCELoss, RegionLoss])
def test_functions_and_classes_have_the_same_defaults(kind):
    function = inspect.signature(dice_loss).parameters
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in function and name != "class_weights":
            # None leaves `batch` to a plan; without one it is the function's default.
            default = bool(parameter.default) if name == "batch" else parameter.default
            assert default == function[name].default
