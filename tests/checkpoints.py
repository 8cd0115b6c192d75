"""Checkpoints of tiny networks, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from medseg.labels import LabelScheme
from medseg.networks import registry
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan

LABELS = LabelScheme({"background": 0, "tumour": 3})


def make_plan(
    spacing: tuple[float, ...] = (1.0, 1.0, 1.0),
    *,
    channels: int = 1,
    patch_size: tuple[int, ...] | None = None,
) -> Plan:
    """Make a plan of two stages."""
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


def make_record(plan: Plan, labels: LabelScheme = LABELS, **changes: Any) -> dict[str, Any]:
    """Make a checkpoint as training writes it; ``changes`` replace parts of its record.

    Averaged weights are half of the raw ones.
    """
    arguments = {
        "spatial_dims": plan.spatial_dims,
        "in_channels": len(plan.preprocessing.normalisation),
        "num_classes": labels.num_outputs,
        "features": [4, 8],
    }
    torch.manual_seed(0)
    raw = registry.create("unet", arguments).state_dict()
    return {
        "pytorch-lightning_version": "2.6.1",
        "state_dict": {
            **{f"network.{key}": value for key, value in raw.items()},
            **{f"averaged.module.{key}": value / 2 for key, value in raw.items()},
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
            **changes,
        },
    }


def write(path: Path, content: Any) -> Path:
    """Write a file with torch, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path
