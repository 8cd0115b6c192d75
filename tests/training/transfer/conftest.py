from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from medseg.labels import LabelScheme
from medseg.networks import registry
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan

LABELS = LabelScheme({"background": 0, "liver": 1})
PLAN = Plan(
    preprocessing=PreprocessingPlan("RAS", "none", (1.0, 1.0, 1.0), (Normalisation("none"),)),
    patch_size=(16, 16, 16),
    batch_size=2,
    strides=((1, 1, 1), (2, 2, 2)),
    kernels=((3, 3, 3), (3, 3, 3)),
    features=(4, 8),
)
ARGUMENTS = {"spatial_dims": 3, "in_channels": 1, "num_classes": 2, "features": [4, 8]}


def make_record(**changes: Any) -> dict[str, Any]:
    """Return what a checkpoint holds: raw weights, and averaged ones that are half of them."""
    torch.manual_seed(1)
    raw = registry.create("unet", ARGUMENTS).state_dict()
    return {
        "state_dict": {
            **{f"network.{name}": value for name, value in raw.items()},
            **{f"averaged.module.{name}": value / 2 for name, value in raw.items()},
            "averaged.n_averaged": torch.tensor(3),
        },
        "medseg": {
            "schema": 1,
            "task": "segmentation",
            "network": {"name": "unet", "arguments": ARGUMENTS},
            "labels": LABELS.to_dict(),
            "plan": PLAN.to_dict(),
            "channels": ["T1"],
            "version": "0.1.0",
            **changes,
        },
    }


@pytest.fixture
def record():
    """Make the content of a medseg checkpoint; what it is given replaces parts of its record."""
    return make_record


@pytest.fixture
def plan():
    """The plan of that checkpoint."""
    return PLAN


@pytest.fixture
def save(tmp_path):
    """Write a file with torch, folders included."""

    def save(content: Any, name: str = "weights.pt") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, path)
        return path

    return save


@pytest.fixture
def bundle(tmp_path):
    """Write a MONAI bundle of a U-Net: one channel, two classes."""

    def write(folder: str = "bundle", *, definition: Any = None, weights: bool = True) -> Path:
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

    return write
