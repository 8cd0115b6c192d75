"""2.5D from a recipe: what is planned, fed and built belongs together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medseg import build
from medseg.build.clocked import step_seconds
from medseg.build.needs import needs_of
from medseg.data.case import Dataset
from medseg.labels import LabelScheme
from medseg.planning.cost import Speed
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.recipe import load_text

SLICES = Plan(
    preprocessing=PreprocessingPlan("RAS", "none", (1.0, 1.0, 5.0), (Normalisation(),) * 2),
    patch_size=(32, 32, 1),
    batch_size=2,
    strides=((1, 1, 1), (2, 2, 1)),
    kernels=((3, 3, 1),) * 2,
    features=(4, 8),
    neighbours=2,
)


@pytest.fixture
def dataset(tmp_path):
    labels = LabelScheme({"background": 0, "a": 1})
    return Dataset(root=tmp_path, format="folders", channels=("a", "b"), labels=labels, cases=())


@pytest.mark.parametrize("name", ["unet", "residual_unet", "deepmedic", "monai.DynUNet"])
def test_patches_are_cut_with_the_slices_that_the_network_reads(dataset, name):
    plan = SLICES
    if name == "monai.DynUNet":  # wants three stages
        plan = replace(
            SLICES,
            strides=(*SLICES.strides, (2, 2, 1)),
            kernels=((3, 3, 1),) * 3,
            features=(4, 8, 8),
        )
    recipe = load_text(f"network: {name}")
    network, record = build.build_network(recipe, plan, dataset)
    context = needs_of(recipe, plan).context
    assert network.input_context == context
    assert context[2] == 2
    assert record["arguments"]["network"]["arguments"]["in_channels"] == 10
    feed = build.build_data(recipe, plan, dataset, [object()], []).train_set
    assert feed.cut_size[2] == 5


def test_neighbours_cost_a_step_one_convolution(dataset):
    recipe, speed = load_text("network: unet"), Speed(flops=1e9)
    with_them = step_seconds(recipe, SLICES, speed, dataset.labels)
    without = step_seconds(recipe, replace(SLICES, neighbours=0), speed, dataset.labels)
    # 8 more input channels into 4 features, by 9 taps at 32 x 32 places; forward and weights' pass.
    more = 2 * 2 * (8 * 4 * 9 * 32 * 32) * 2
    assert with_them - without == pytest.approx(more / 1e9)
