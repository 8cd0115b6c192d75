import pytest

from medseg.errors import InputError
from medseg.inference import folds
from medseg.inference.postprocess.steps import MaskStep

LARGEST = {"name": "largest_component", "of": "tumour"}


@pytest.fixture
def run(content, save, tmp_path):
    for fold in range(2):
        save(content, f"run/fold_{fold}/checkpoints/best.ckpt")
    return tmp_path / "run"


def test_a_run_gives_all_its_folds_in_order(run):
    found = folds.read_together(run)
    assert [one.path.parent.parent.name for one in found] == ["fold_0", "fold_1"]
    assert len(folds.read_together(run / "fold_1")) == 1


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"labels": {"values": {"background": 0, "cyst": 3}}}, "labels"),
        ({"channels": ["T2"]}, "channels"),
    ],
)
def test_folds_that_differ_are_refused_by_what_differs(run, content, save, change, differs):
    content["medseg"] |= change
    save(content, "run/fold_1/checkpoints/best.ckpt")
    with pytest.raises(InputError, match=f"differ in their {differs}") as error:
        folds.read_together(run)
    assert "fold_1" in str(error.value.file) and "fold_0" in error.value.expected
    assert error.value.remedy


@pytest.mark.parametrize(
    ("recorded", "asked", "axes"),
    [
        ({}, None, ()),
        ({}, True, (0, 1, 2)),  # an older checkpoint does not say what it has seen
        ({}, "auto", ()),
        ({"mirrored": [0, 2]}, True, (0, 2)),
        ({"mirrored": [0, 2]}, "auto", (0,)),
        ({"mirrored": [1]}, "auto", ()),
        ({"mirrored": [0], "mirror": "auto"}, None, (0,)),
        ({"mirrored": [0]}, [1], (1,)),
    ],
)
def test_mirrors_are_those_that_training_has_seen_unless_axes_are_named(
    content, save, recorded, asked, axes
):
    content["medseg"]["inference"] = {"overlap": 0.5, "mirror": False} | recorded
    (found,) = folds.read_together(save(content))
    assert folds.mirror_axes(found, asked) == axes


def test_postprocessing_is_what_is_asked_for_else_the_recipes_else_the_checkpoints(
    run, content, save
):
    content["medseg"]["inference"] |= {"postprocessing": [LARGEST]}
    save(content, "run/fold_0/checkpoints/best.ckpt")
    found = folds.read_together(run / "fold_0")
    assert folds.steps_of(found, run, None) == (MaskStep(**LARGEST),)
    (run / "recipe.yaml").write_text("inference: {postprocessing: none}")
    assert folds.steps_of(found, run, None) == ()
    filled = {"name": "fill_holes", "of": "tumour"}
    assert folds.steps_of(found, run, [filled]) == (MaskStep(**filled),)
