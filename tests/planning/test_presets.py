from math import prod

import pytest

from medseg.planning import presets
from medseg.planning.planner import plan

RESIDUAL = ("resenc_s", "resenc_m", "resenc_l", "resenc_xl")


def test_residual_presets_name_the_residual_network():
    assert {presets.find(name).network for name in RESIDUAL} == {"residual_unet"}
    assert {presets.find(name).network for name in ("standard", "fast")} == {"unet"}


def test_larger_presets_have_larger_patches(data_set):
    data = data_set((200, 200, 200))
    sizes = [prod(plan(data, preset=name).plan.patch_size) for name in RESIDUAL]
    assert sizes == sorted(sizes) and len(set(sizes)) >= 3


@pytest.mark.parametrize("name", RESIDUAL)
def test_a_residual_batch_may_be_the_data_set(data_set, name):
    found = plan(data_set((40, 40, 40), cases=10), preset=name)
    assert found.plan.batch_size == 10
    assert "100 %" in found.reasons["batch_size"]
