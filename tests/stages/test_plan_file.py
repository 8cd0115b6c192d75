import pytest

from medseg.errors import InputError
from medseg.stages import plan_file

VALUES = {"patch_size": [40, 56, 40], "orientation": None, "normalisation": [{"scheme": "zscore"}]}


def write(path, **reasons):
    plan_file.write(path, VALUES, planned=VALUES, reasons={"patch_size": "the median shape"})


def test_what_is_written_is_read_back_without_edits(tmp_path):
    write(tmp_path / "plan.yaml")
    found = plan_file.read(tmp_path / "plan.yaml")
    assert found.values == VALUES and found.edits == {}


def test_each_value_stands_with_its_reason(tmp_path):
    write(tmp_path / "plan.yaml")
    assert "patch_size: [40, 56, 40]  # the median shape" in (tmp_path / "plan.yaml").read_text()


def test_a_changed_value_is_an_edit_and_a_deleted_one_is_not(tmp_path):
    path = tmp_path / "plan.yaml"
    write(path)
    lines = path.read_text().replace("[40, 56, 40]  #", "[32, 32, 32]  #").splitlines()
    path.write_text("\n".join(line for line in lines if "orientation:" not in line.split("#")[0]))
    assert plan_file.read(path).edits == {"patch_size": [32, 32, 32]}


def test_a_missing_plan_is_empty(tmp_path):
    assert plan_file.read(tmp_path / "plan.yaml").values == {}


@pytest.mark.parametrize("text", ["plan: [", "other: 1", "- 1", ""])
def test_a_broken_plan_names_the_file(tmp_path, text):
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(InputError, match=r"plan\.yaml"):
        plan_file.read(tmp_path / "plan.yaml")


def test_what_is_done_to_masks_is_said_and_changes_no_value(tmp_path):
    path = tmp_path / "plan.yaml"
    write(path)
    before = path.read_text()
    plan_file.rewrite_masks(path, ["largest_component of liver: mean Dice 0.85 -> 0.86"])
    text = path.read_text()
    line = "# Masks: largest_component of liver: mean Dice 0.85 -> 0.86\n"
    assert text.index(line) < text.index("\nplan:\n") and text.replace(line, "") == before
    assert plan_file.read(path).values == VALUES and plan_file.read(path).edits == {}
    plan_file.rewrite_masks(path, ["nothing"])
    assert path.read_text() == text.replace(line, "# Masks: nothing\n")
    plan_file.rewrite_masks(path, [])
    assert path.read_text() == before


def test_notes_stand_above_the_values_and_are_no_edits(tmp_path):
    path = tmp_path / "plan.yaml"
    plan_file.write(path, VALUES, planned=VALUES, reasons={}, notes=["A coarser stage exists."])
    text = path.read_text()
    assert text.index("# A coarser stage exists.\n") < text.index("\nplan:\n")
    assert plan_file.read(path).edits == {}
