import pytest

from medseg.inference.detection.choosing import Choice, Trial
from medseg.inference.detection.keep_file import NAME
from medseg.inference.detection.keep_text import to_text
from medseg.inference.detection.keeping import KeepRule
from medseg.stages import plan_boxes, plan_file

GAIN = Trial("nms", "", 0.3, "mAP", 0.8, 0.85, True)


def chosen(run):
    choice = Choice(KeepRule(nms=0.3), (GAIN,), {})
    (run / NAME).write_text(to_text(choice, ["nodule"], cases="3 held-out cases of one fold"))


def test_a_run_without_a_choice_says_nothing(tmp_path):
    assert plan_boxes.lines(tmp_path) == []


def test_a_step_that_was_chosen_stands_with_its_gain(tmp_path):
    chosen(tmp_path)
    assert plan_boxes.lines(tmp_path) == [f"nms 0.3: mAP 0.8000 -> 0.8500 ({NAME})"]


def test_a_broken_file_is_said(tmp_path):
    (tmp_path / NAME).write_text("{")
    assert plan_boxes.lines(tmp_path) == [f"{NAME} cannot be read"]


@pytest.mark.parametrize("there", [True, False])
def test_only_a_plan_that_is_there_is_brought_up_to_date(tmp_path, there):
    chosen(tmp_path)
    plan = tmp_path / "plan.yaml"
    if there:
        plan.write_text("# Masks: filled\nplan:\n  batch_size: 2\n")
    for _ in range(2):
        plan_boxes.refresh(tmp_path)
    assert plan.is_file() == there
    if there:
        lines = plan.read_text().splitlines()
        assert lines[0] == "# Masks: filled" and lines[1].startswith("# Boxes: nms 0.3: mAP")
        assert lines[2:] == ["plan:", "  batch_size: 2"]
        assert plan_file.read(plan).values == {"batch_size": 2}
