import pytest
import torch

from medseg import build
from medseg.build import task
from medseg.errors import InputError
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.recipe import load_text

PLAN = Plan(
    preprocessing=PreprocessingPlan(
        orientation="RAS",
        crop="none",
        spacing=(1.0, 1.0, 1.0),
        normalisation=(Normalisation("none"),),
    ),
    patch_size=(8, 8, 8),
    batch_size=4,
    strides=((1, 1, 1), (2, 2, 2)),
    kernels=((3, 3, 3), (3, 3, 3)),
    features=(4, 8),
)


@pytest.mark.parametrize(
    ("device", "inference", "expected"),
    [("cuda", "{}", 4), ("cpu", "{}", 1), ("cuda", "{batch_size: 2}", 2)],
)
def test_a_validation_runs_as_many_windows_at_once_as_a_prediction(
    tmp_path, monkeypatch, device, inference, expected
):
    monkeypatch.setattr(task, "training_device", lambda recipe: torch.device(device))
    recipe = load_text(
        f"{{data: {{format: phantom, phantom: {{cases: 2}}}}, inference: {inference}}}"
    )
    dataset = build.build_dataset(recipe, tmp_path)
    assert build.build_task(recipe, PLAN, dataset).window.batch_size == expected


def test_a_checkpoint_remembers_which_axes_training_mirrored(tmp_path):
    recipe = load_text(
        "{data: {format: phantom, phantom: {cases: 2}}, augmentation: [{name: mirror, axes: [1]}]}"
    )
    dataset = build.build_dataset(recipe, tmp_path)
    made = build.build_task(recipe, PLAN, dataset)
    assert made.description["inference"]["mirrored"] == [1]
    assert made.window.mirror_axes == ()


def test_averaging_over_mirrored_images_needs_a_training_that_mirrors(tmp_path):
    recipe = load_text(
        "{data: {format: phantom, phantom: {cases: 2}}, augmentation: none, "
        "inference: {mirror: true}}"
    )
    dataset = build.build_dataset(recipe, tmp_path)
    with pytest.raises(InputError, match="training mirrors nothing"):
        build.build_task(recipe, PLAN, dataset)
