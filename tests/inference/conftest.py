from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.checkpoints import LABELS, make_plan, make_record, write


class Threshold(nn.Module):
    """Class 1 wherever the first channel is above ``level``."""

    def __init__(self, level: float = 0.5) -> None:
        super().__init__()
        self.level = level
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, image):
        first = image[:, :1] * self.weight - self.level
        return torch.cat([torch.zeros_like(first), first], dim=1)


@pytest.fixture
def content() -> dict:
    return make_record(make_plan())


@pytest.fixture
def save(tmp_path):
    return lambda content, name="best.ckpt": write(tmp_path / name, content)


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
