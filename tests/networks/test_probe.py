from __future__ import annotations

import pytest
import torch
from torch import nn

from medseg.errors import InputError
from medseg.networks import UNet
from medseg.networks.probe import probe


def test_a_segmenter_passes_and_keeps_its_mode_and_state():
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 3, 1)).train()
    probe(network, in_channels=1, num_classes=3, size=(8, 8))
    assert network.training
    assert network[0].num_batches_tracked == 0


def test_deep_supervision_passes():
    network = UNet(
        spatial_dims=2, in_channels=1, num_classes=3, features=(2, 4), deep_supervision=True
    )
    probe(network, in_channels=1, num_classes=3, size=(8, 8))


class Classifier(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Classifier(), "does not return segmentation logits"),
        (nn.Conv2d(1, 2, 1), "one logit per class"),
        (nn.Conv2d(1, 3, 2), "one logit per class"),
        (nn.Conv2d(4, 3, 1), "planned shape"),
        (nn.Conv3d(1, 3, 3), "planned shape|segmentation logits"),
    ],
    ids=["classifier", "classes", "size", "channels", "dimension"],
)
def test_anything_else_is_refused_in_words(network, message):
    training = network.training
    with pytest.raises(InputError, match=message):
        probe(network, in_channels=1, num_classes=3, size=(8, 8))
    assert network.training is training
    assert torch.is_grad_enabled()
