from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from medseg.labels import LabelScheme
from medseg.networks import registry
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan

LABELS = LabelScheme({"background": 0, "tumour": 3})


class Threshold(nn.Module):
    """Class 1 wherever the first channel is above ``level``."""

    def __init__(self, level: float = 0.5) -> None:
        super().__init__()
        self.level = level
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, image):
        first = image[:, :1] * self.weight - self.level
        return torch.cat([torch.zeros_like(first), first], dim=1)


def make_plan(spacing=(1.0, 1.0, 1.0), *, channels: int = 1, patch_size=None) -> Plan:
    n = len(spacing)
    return Plan(
        preprocessing=PreprocessingPlan(
            orientation="RAS" if n == 3 else None,
            crop="none",
            spacing=spacing,
            normalisation=(Normalisation("none"),) * channels,
        ),
        patch_size=patch_size or (16,) * n,
        batch_size=2,
        strides=((1,) * n, (2,) * n),
        kernels=((3,) * n, (3,) * n),
        features=(4, 8),
    )


def make_record(plan: Plan, labels: LabelScheme = LABELS) -> dict:
    """Make a checkpoint as training writes it, with raw and averaged weights that differ."""
    arguments = {
        "spatial_dims": plan.spatial_dims,
        "in_channels": len(plan.preprocessing.normalisation),
        "num_classes": labels.num_outputs,
        "features": [4, 8],
    }
    torch.manual_seed(0)
    raw = registry.create("unet", arguments).state_dict()
    averaged = {key: value * 0.5 for key, value in raw.items()}
    return {
        "pytorch-lightning_version": "2.6.1",
        "state_dict": {
            **{f"network.{key}": value for key, value in raw.items()},
            **{f"averaged.module.{key}": value for key, value in averaged.items()},
            "averaged.n_averaged": torch.tensor(3),
        },
        "optimizer_states": [],
        "medseg": {
            "schema": 1,
            "task": "segmentation",
            "network": {"name": "unet", "arguments": arguments},
            "labels": labels.to_dict(),
            "plan": plan.to_dict(),
            "channels": [f"channel{i}" for i in range(arguments["in_channels"])],
            "inference": {"overlap": 0.5, "mirror": False},
            "recipe": "task: segmentation\n",
            "version": "0.1.0",
        },
    }


@pytest.fixture
def content() -> dict:
    return make_record(make_plan())


@pytest.fixture
def save(tmp_path):
    def write(content: dict, name: str = "best.ckpt") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, path)
        return path

    return write


@pytest.fixture
def threshold():
    return Threshold


@pytest.fixture
def plan_of():
    return make_plan


@pytest.fixture
def record_of():
    return make_record


@pytest.fixture
def labels():
    return LABELS
