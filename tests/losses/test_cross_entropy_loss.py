import pytest
import torch
from torch.nn import functional

from medseg.errors import InputError
from medseg.losses import CrossEntropyLoss, DiceCELoss, DiceLoss


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, 4, generator=generator)
    target = torch.randint(0, 3, (2, 1, 5, 6, 4), generator=generator)
    return logits, target


@pytest.mark.parametrize("weights", [None, [0.2, 1.0, 3.0], [0.0, 1.0, 1.0]])
def test_equals_torch(case, weights):
    logits, target = case
    expected = functional.cross_entropy(
        logits, target.squeeze(1), weight=None if weights is None else torch.tensor(weights)
    )
    torch.testing.assert_close(CrossEntropyLoss(class_weights=weights)(logits, target), expected)


def test_follows_the_primer_by_hand():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    logits = p.log().T[None, :, :, None]
    loss = CrossEntropyLoss()(logits, torch.tensor([0, 2]).view(1, 2, 1))
    expected = -(torch.tensor(0.7).log() + torch.tensor(0.8).log()) / 2
    torch.testing.assert_close(loss, expected)


def test_batch_of_weight_zero_gives_zero_and_finite_gradient():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = CrossEntropyLoss(class_weights=[0.0, 1.0])(logits, torch.zeros(1, 1, 4, 4).long())
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad.eq(0).all()


def test_certain_and_wrong_stays_finite():
    logits = torch.tensor([[1e4, -1e4]]).view(1, 2, 1, 1).half().requires_grad_()
    loss = CrossEntropyLoss()(logits, torch.ones(1, 1, 1, 1).long())
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("background", [False, True])
def test_dice_ce_equals_monai(case, background):
    from monai.losses import DiceCELoss as Oracle

    ours = DiceCELoss(include_background=background, dice_weight=0.3, ce_weight=2.0)
    oracle = Oracle(
        include_background=background,
        softmax=True,
        to_onehot_y=True,
        lambda_dice=0.3,
        lambda_ce=2.0,
    )
    torch.testing.assert_close(ours(*case), oracle(*case))


def test_dice_ce_is_the_sum_of_its_parts_with_weights(case):
    weights = [0.5, 1.0, 2.0]
    expected = DiceLoss(class_weights=weights)(*case) + CrossEntropyLoss(class_weights=weights)(
        *case
    )
    torch.testing.assert_close(DiceCELoss(class_weights=weights)(*case), expected)


def test_wrong_number_of_weights_is_refused(case):
    with pytest.raises(InputError, match="one class weight per output"):
        CrossEntropyLoss(class_weights=[1.0] * 4)(*case)


def test_training_on_it_finds_the_classes():
    torch.manual_seed(0)
    target = (torch.arange(6).view(1, 1, 6, 1, 1) // 2).expand(2, 1, 6, 4, 4)
    image = target.float() + 0.1 * torch.randn(2, 1, 6, 4, 4)
    network = torch.nn.Sequential(
        torch.nn.Conv3d(1, 8, 1), torch.nn.ReLU(), torch.nn.Conv3d(8, 3, 1)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(80):
        optimizer.zero_grad()
        loss = DiceCELoss()(network(image), target)
        loss.backward()
        optimizer.step()
    assert network(image).argmax(1, keepdim=True).eq(target).float().mean() > 0.95
