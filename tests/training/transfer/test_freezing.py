"""A regime trains its part of the network, and leaves the rest alone to the bit."""

import copy
import pickle

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from medseg.errors import InputError
from medseg.networks import UNet
from medseg.networks.registry import create
from medseg.networks.stages import Stages
from medseg.training.transfer import freeze, thaw


def unet(**options):
    torch.manual_seed(0)
    return UNet(spatial_dims=2, in_channels=1, num_classes=2, features=(4, 6, 8), **options)


def batch_normed():
    """Return a network whose first and last modules have batch norms, dropout between."""
    torch.manual_seed(0)
    sizes = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}
    more = {"channels": (4, 6, 8), "strides": (2, 2), "num_res_units": 1, "norm": "batch"}
    return create("monai.UNet", {**sizes, **more, "dropout": 0.5})


def train(network, steps=3):
    optimizer = torch.optim.SGD((p for p in network.parameters() if p.requires_grad), lr=0.5)
    network.train()
    for step in range(steps):
        image = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(step))
        loss = network(image).square().mean() + network(image).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("regime", "last", "trained"),
    [
        ("small", None, ("heads.",)),
        ("medium", 1, ("decoder.0.", "heads.")),
        ("medium", None, ("decoder.1.", "decoder.0.", "heads.")),  # 2 of 5 stages
        ("medium", 3, ("encoder.2.", "decoder.1.", "decoder.0.", "heads.")),
        ("large", None, ("encoder.", "decoder.", "heads.")),
    ],
)
def test_what_a_regime_does_not_train_is_the_same_to_the_bit_afterwards(regime, last, trained):
    network = unet()
    before = copy.deepcopy(network.state_dict())
    freeze(network, regime, last=last)
    train(network)
    changed = {
        name for name, value in network.state_dict().items() if not value.equal(before[name])
    }
    assert changed
    assert {name for name in before if name.startswith(trained)} >= changed
    moved = {prefix for prefix in trained if any(name.startswith(prefix) for name in changed)}
    assert moved == set(trained)


def test_norms_of_frozen_parts_keep_their_statistics_and_others_follow():
    network = batch_normed()
    freeze(network, "medium", last=1)
    before = copy.deepcopy(dict(network.named_buffers()))
    train(network)
    changed = {n for n, value in network.named_buffers() if not value.equal(before[n])}
    assert changed
    assert all(name.startswith(("model.1.submodule.2.", "model.2.")) for name in changed)


def test_frozen_parts_drop_nothing_out():
    network = batch_normed()
    freeze(network, "small")
    network.train()
    image = torch.randn(1, 1, 16, 16)
    down = network.get_submodule("model.0")
    assert torch.equal(down(image), down(image))
    assert network.training and not down.training


def test_a_copy_of_a_frozen_network_is_frozen_and_stands_alone():
    network = unet()
    freeze(network, "small")
    twin = copy.deepcopy(network)
    thaw(network)
    twin.train()
    assert not twin.encoder[0].training and network.train().encoder[0].training


def test_a_frozen_network_that_is_sent_to_another_process_stays_frozen():
    twin = pickle.loads(pickle.dumps(_frozen(unet())))
    twin.train()
    assert not twin.encoder[0].training and twin.heads[0].training
    assert twin.train.args[0] is twin


def _frozen(network):
    freeze(network, "small")
    return network


class NormBesideHead(nn.Sequential):
    """A network whose last batch norm is a sibling of its head, and so frozen by itself."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))

    def transfer_stages(self):
        return Stages(body=(("0", "1"), ("2",)), head=("3",))


def twice_registered():
    """Return a network whose blocks are found under two names, with batch norms."""
    sizes = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "norm_name": "batch"}
    strides = {"strides": (1, 2, 2), "upsample_kernel_size": (2, 2), "kernel_size": (3, 3, 3)}
    torch.manual_seed(0)
    return create("monai.DynUNet", {**sizes, **strides, "filters": (4, 6, 8)})


@pytest.mark.parametrize("regime", ["small", "medium"])
@pytest.mark.parametrize("make", [NormBesideHead, batch_normed, twice_registered])
def test_norms_that_are_made_one_over_all_processes_stay_frozen(make, regime):
    from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm

    network = make()
    freeze(network, regime)
    training = {name for name, module in network.train().named_modules() if module.training}
    module = pl.LightningModule()
    module.network = network
    network = TorchSyncBatchNorm().apply(module).network
    norms = {n: m for n, m in network.named_modules() if isinstance(m, nn.SyncBatchNorm)}
    before = copy.deepcopy(network.state_dict())
    train(network)
    assert {name for name, module in network.named_modules() if module.training} == training
    frozen = [name for name in norms if name not in training]
    assert frozen
    for name in frozen:
        own = network.get_submodule(name).state_dict()
        assert all(value.equal(before[f"{name}.{key}"]) for key, value in own.items())
    for name in norms.keys() - frozen:
        assert not norms[name].running_mean.equal(before[f"{name}.running_mean"])


def test_thawed_everything_trains_again():
    network = batch_normed()
    freeze(network, "small")
    thaw(network)
    assert all(p.requires_grad for p in network.parameters())
    assert all(module.training for module in network.train().modules())
    assert not any(module.training for module in network.eval().modules())


def test_heads_of_deep_supervision_are_heads():
    network = unet(deep_supervision=True)
    freeze(network, "small")
    trained = [name for name, p in network.named_parameters() if p.requires_grad]
    assert trained == ["heads.0.weight", "heads.0.bias", "heads.1.weight", "heads.1.bias"]


def test_an_unknown_regime_is_refused():
    with pytest.raises(InputError, match="no regime 'tiny'") as caught:
        freeze(unet(), "tiny")
    assert caught.value.expected == "small or medium or large"


@pytest.mark.parametrize("last", [0, 6])
def test_more_stages_than_there_are_are_refused(last):
    with pytest.raises(InputError, match="UNet has 5 stages"):
        freeze(unet(), "medium", last=last)


def test_a_network_of_unknown_parts_can_only_be_trained_as_a_whole():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 1))
    freeze(network, "large")
    for regime in ("small", "medium"):
        with pytest.raises(InputError, match="head of Sequential is not known"):
            freeze(network, regime)


def test_a_known_head_is_enough_for_the_small_regime():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 1))
    freeze(network, "small", stages=Stages(head=("1",)))
    assert [p.requires_grad for p in network.parameters()] == [False, False, True, True]
    with pytest.raises(InputError, match="stages of Sequential are not known"):
        freeze(network, "medium", stages=Stages(head=("1",)))
