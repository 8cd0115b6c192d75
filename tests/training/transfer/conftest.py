from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from medseg.labels import LabelScheme
from medseg.networks import registry
from tests.checkpoints import make_plan, make_record, write

LABELS = LabelScheme({"background": 0, "liver": 1})


@pytest.fixture
def record():
    """Make the content of a medseg checkpoint; what it is given replaces parts of its record."""
    return partial(make_record, make_plan(), LABELS, channels=["T1"])


@pytest.fixture
def plan():
    """The plan of that checkpoint."""
    return make_plan()


@pytest.fixture
def save(tmp_path):
    """Write a file with torch, folders included."""
    return lambda content, name="weights.pt": write(tmp_path / name, content)


@pytest.fixture
def bundle(tmp_path):
    """Write a MONAI bundle of a U-Net: one channel, two classes."""

    def make(folder: str = "bundle", *, definition: Any = None, weights: bool = True) -> Path:
        root = tmp_path / folder
        (root / "configs").mkdir(parents=True)
        (root / "models").mkdir()
        arguments = {"channels": [4, 8, 8], "strides": [2, 2], "num_res_units": 2, "norm": "batch"}
        sizes = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2}
        if definition is None:
            definition = {"_target_": "UNet", **sizes, **arguments}
        torch.manual_seed(2)
        network = registry.create("monai.UNet", {**sizes, **arguments})
        if weights:
            torch.save(network.state_dict(), root / "models" / "model.pt")
        metadata = {
            "network_data_format": {
                "inputs": {"image": {"num_channels": 1, "channel_def": {"0": "image"}}},
                "outputs": {"pred": {"channel_def": {"0": "background", "1": "spleen"}}},
            }
        }
        (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
        config = {"network_def": definition, "device": "$print('run me')"}
        (root / "configs" / "inference.json").write_text(json.dumps(config))
        return root

    return make
