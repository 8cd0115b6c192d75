from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from medseg import build
from medseg.build.clocked import step_seconds
from medseg.build.needs import needs_of
from medseg.data.case import Dataset
from medseg.labels import LabelScheme
from medseg.planning.cost import Speed
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.recipe import load_text

PLAN = Plan(
    preprocessing=PreprocessingPlan("RAS", "none", (1.0, 1.0, 1.0), (Normalisation(),)),
    patch_size=(16, 24, 16),
    batch_size=2,
    strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)),
    kernels=((3, 3, 3),) * 3,
    features=(4, 8, 8),
)
THICK = replace(
    PLAN,
    patch_size=(32, 32, 8),
    strides=((1, 1, 1), (2, 2, 1), (2, 2, 2)),
    kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3)),
)
SLICES = replace(
    PLAN,
    patch_size=(32, 32, 1),
    strides=((1, 1, 1), (2, 2, 1), (2, 2, 1)),
    kernels=((3, 3, 1),) * 3,
)
SMALL = "network: {name: deepmedic, features: [2, 2], hidden: [4]}"


def dataset(tmp_path):
    labels = LabelScheme({"background": 0, "a": 1})
    return Dataset(root=tmp_path, format="decathlon", channels=("mr",), labels=labels, cases=())


@pytest.mark.parametrize(
    ("plan", "text", "context"),
    [
        (PLAN, "network: unet", (0, 0, 0)),
        (PLAN, "network: deepmedic", (24, 24, 24)),
        (THICK, "network: deepmedic", (24, 24, 8)),
        (SLICES, "network: deepmedic", (24, 24, 0)),
        (THICK, "network: {name: deepmedic, factor: 3}", (24, 24, 24)),
        (THICK, SMALL, (6, 6, 2)),
    ],
)
def test_what_is_foretold_is_what_the_network_says(tmp_path, plan, text, context):
    recipe = load_text(text)
    wanted = needs_of(recipe, plan)
    assert wanted.context == context
    network, _ = build.build_network(recipe, plan, dataset(tmp_path))
    assert getattr(network, "input_context", (0, 0, 0)) == context
    assert build.build_data(recipe, plan, dataset(tmp_path), [object()], []).train_set.cut_size == (
        wanted.input_size(plan.patch_size)
    )


def test_a_step_costs_what_is_read_and_not_only_what_is_segmented(tmp_path):
    recipe = load_text(SMALL)
    network, _ = build.build_network(recipe, PLAN, dataset(tmp_path))
    image = torch.zeros(PLAN.batch_size, 1, 28, 36, 28)
    with FlopCounterMode(display=False) as counter:
        network(image).sum().backward()
    labels = dataset(tmp_path).labels
    assert step_seconds(recipe, PLAN, Speed(flops=1e9), labels) == pytest.approx(
        counter.get_total_flops() / 1e9
    )


STATS = Intensity(1000, 0.0, 500.0, 100.0, 20.0, 10.0, 99.0, 400.0)


def found(shape, spacing):
    case = CaseFingerprint(
        id="case",
        shape=shape,
        spacing=spacing,
        orientation="RAS",
        cropped_shape=shape,
        image_dtype="float32",
        label_dtype="uint8",
        foreground=(STATS,),
        nonzero=(STATS,),
        label_voxels=(100, 100),
    )
    return Fingerprint(("MRI",), {"values": {"background": 0, "a": 1}}, (case,) * 20, (STATS,))


@pytest.mark.parametrize("preset", ["standard", "fast"])
def test_a_planned_patch_leaves_room_for_what_is_read_around_it(preset):
    data = found((140, 171, 137), (1.0, 1.0, 1.0))
    text = f"{{network: NAME, plan: {{preset: {preset}}}}}"
    plain = build.build_plan(load_text(text.replace("NAME", "unet")), data).plan
    planned = build.build_plan(load_text(text.replace("NAME", "deepmedic")), data)
    read = tuple(n + 48 for n in planned.plan.patch_size)
    assert max(read) <= max(plain.patch_size) + 16
    assert "deepmedic reads 24 x 24 x 24 voxels more" in planned.reasons["patch_size"]
    assert "deepmedic takes no notice" in planned.reasons["features"]


def test_no_room_is_left_for_what_a_coarse_axis_does_not_need():
    recipe = load_text("{network: deepmedic, plan: {preset: fast}}")
    planned = build.build_plan(recipe, found((320, 320, 24), (0.6, 0.6, 4.0))).plan
    wanted = needs_of(recipe, planned)
    assert wanted.context == (24, 24, 8)
    read, longer = (
        prod(wanted.input_size(size))
        for size in (planned.patch_size, (*planned.patch_size[:2], planned.patch_size[2] + 4))
    )
    assert read <= 64**3 < longer


def test_volumes_can_be_planned_slice_by_slice():
    recipe = load_text("{network: deepmedic, plan: {configuration: 2d}}")
    planned = build.build_plan(recipe, found((256, 256, 20), (0.8, 0.8, 5.0)))
    assert planned.plan.patch_size[2] == 1
    assert needs_of(recipe, planned.plan).context == (24, 24, 0)
