import pytest

from medseg.inference.postprocess import MaskStep
from medseg.inference.postprocess.choosing import Trial
from medseg.inference.postprocess.file import NAME
from medseg.inference.postprocess.text import to_text
from medseg.labels import LabelScheme
from medseg.recipe import load_text
from medseg.stages import plan_masks

LABELS = LabelScheme({"background": 0, "liver": 1, "odd\u2028name": 2})
LARGEST, SMALL = MaskStep("largest_component", "liver"), MaskStep("remove_small", "liver", 5.0)


def said(run, text=""):
    return plan_masks.lines(load_text(text or "seed: 0"), run)


def chosen(run, *, kept):
    trial = Trial(LARGEST, {"liver": 0.85}, {"liver": 0.86}, kept)
    (run / NAME).write_text(to_text([trial], LABELS, cases="3 held-out cases of one fold"))


def test_a_run_without_a_choice_says_nothing(tmp_path):
    assert said(tmp_path) == []


def test_a_step_that_was_chosen_stands_with_its_gain(tmp_path):
    chosen(tmp_path, kept=True)
    (line,) = said(tmp_path)
    assert line == f"{LARGEST}: mean Dice 0.8500 -> 0.8600; liver +0.0100 ({NAME})"


def test_a_choice_of_nothing_is_said_too(tmp_path):
    chosen(tmp_path, kept=False)
    (line,) = said(tmp_path)
    assert line.startswith("nothing: no step that was tried improves")


def test_a_step_that_a_person_added_has_no_gain(tmp_path):
    chosen(tmp_path, kept=True)
    text = (
        (tmp_path / NAME)
        .read_text()
        .replace("  postprocessing:\n", "  postprocessing:\n    - {name: fill_holes, of: liver}\n")
    )
    (tmp_path / NAME).write_text(text)
    added, first = said(tmp_path)
    assert "holes filled" in added and "was not measured" in added and "0.8600" in first


def test_what_the_recipe_sets_is_named_and_the_file_is_not(tmp_path):
    chosen(tmp_path, kept=True)
    steps = "inference: {postprocessing: [{name: fill_holes, of: liver}]}"
    assert said(tmp_path, steps) == [
        "fill_holes of liver, set in the recipe (inference.postprocessing)"
    ]
    assert said(tmp_path, "inference: {postprocessing: none}") == []


def test_a_broken_file_and_odd_names_stay_in_their_line(tmp_path):
    (tmp_path / NAME).write_text("{")
    assert said(tmp_path) == [f"{NAME} cannot be read"]
    step = MaskStep("fill_holes", "odd\u2028name")
    (tmp_path / NAME).write_text(
        to_text([Trial(step, {"a": 0.1}, {"a": 0.2}, True)], LABELS, cases="one case")
    )
    (line,) = said(tmp_path)
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("there", [True, False])
def test_only_a_plan_that_is_there_is_brought_up_to_date(tmp_path, there):
    chosen(tmp_path, kept=True)
    plan = tmp_path / "plan.yaml"
    if there:
        plan.write_text("plan:\n  batch_size: 2\n")
    plan_masks.refresh(load_text("seed: 0"), tmp_path)
    assert plan.is_file() == there
    if there:
        assert plan.read_text().startswith(f"# Masks: {LARGEST}: mean Dice")
