import json

import pytest

from medseg.errors import InputError
from medseg.inference.postprocess import MaskStep
from medseg.inference.postprocess.choosing import Trial
from medseg.inference.postprocess.file import (
    NAME,
    asked_by_recipe,
    beside,
    read,
    read_for,
    steps_for,
)
from medseg.inference.postprocess.text import reason, to_text
from medseg.labels import LabelScheme
from medseg.recipe import load_text

LARGEST = MaskStep("largest_component", "liver")
SMALL = MaskStep("remove_small", "spleen", 12.5)
TRIALS = [
    Trial(LARGEST, {"liver": 0.9, "spleen": 0.8}, {"liver": 0.91, "spleen": 0.8}, True),
    Trial(SMALL, {"liver": 0.91, "spleen": 0.8}, {"liver": 0.91, "spleen": 0.7}, False),
    Trial(
        MaskStep("fill_holes", "liver"),
        {"liver": 0.91, "spleen": 0.8},
        {"liver": 0.91, "spleen": 0.8},
        False,
    ),
]


@pytest.fixture
def file(tmp_path, organs):
    path = tmp_path / "run" / NAME
    path.parent.mkdir()
    path.write_text(to_text(TRIALS, organs, cases="10 held-out cases of 5 folds"))
    return path


def test_what_is_written_is_read_and_says_what_each_step_brought(file, organs):
    found = read(file)
    assert found.steps == found.chosen == (LARGEST,) and not found.edited
    assert read_for(file, organs) == (LARGEST,)
    text = file.read_text()
    assert "10 held-out cases of 5 folds" in text
    assert "# mean Dice 0.8500 -> 0.8550; liver +0.0100" in text
    left_out = text[text.index("# Tried and left out") :]
    assert "spleen -0.1000" in left_out and "1 by which no class changes in four digits" in left_out
    assert reason(TRIALS[2]) == "mean Dice 0.8550 -> 0.8550"


def test_a_line_break_of_yaml_in_a_name_breaks_no_line(tmp_path):
    name = "odd\u2028name"
    step, scheme = MaskStep("fill_holes", name), LabelScheme({"background": 0, name: 1})
    trial = Trial(step, {name: 0.1}, {name: 0.2}, True)
    (tmp_path / NAME).write_text(to_text([trial], scheme, cases="a case"))
    assert read_for(tmp_path / NAME, scheme) == (step,)


def test_the_file_is_a_fragment_of_a_recipe(file):
    recipe = load_text(file.read_text())
    assert [step.model_dump() for step in recipe.inference.postprocessing] == [
        {"name": "largest_component", "of": "liver", "min_size": None}
    ]


@pytest.mark.parametrize(
    ("old", "new", "steps"),
    [
        ('"of": "liver"}  #', '"of": "spleen"}  #', (MaskStep("largest_component", "spleen"),)),
        (
            "  postprocessing:\n",
            "  postprocessing:\n    - {name: remove_small, of: spleen, min_size: 12.5}\n",
            (SMALL, LARGEST),
        ),
        ("# chosen: ", "# forgotten: ", (LARGEST,)),
        ("# chosen: [", "# chosen: [[", (LARGEST,)),
    ],
)
def test_edits_are_known_as_edits(file, organs, old, new, steps):
    file.write_text(file.read_text().replace(old, new, 1))
    assert read(file).edited and read_for(file, organs) == steps


def test_nothing_that_helps_is_said_and_read_as_nothing(tmp_path, organs):
    path = tmp_path / NAME
    path.write_text(to_text(TRIALS[1:], organs, cases="one case"))
    assert "nothing that was tried improves mean Dice 0.8550" in path.read_text()
    assert read(path).steps == () and not read(path).edited
    path.write_text("inference: {postprocessing: none}")
    assert read(path).steps == () and read(path).edited


def test_names_with_odd_characters_survive(tmp_path):
    scheme = LabelScheme({"left: kidney, {upper} #1 – ü": 1, "b": 2})
    step = MaskStep("largest_component", scheme.foreground[0])
    before = dict.fromkeys(scheme.foreground, 0.5)
    path = tmp_path / NAME
    path.write_text(
        to_text([Trial(step, before, {**before, "b": 0.6}, True)], scheme, cases="1"),
        encoding="utf-8",
    )
    assert read_for(path, scheme) == (step,) and not read(path).edited


def test_the_file_of_other_labels_is_refused(file, organs):
    other = LabelScheme({"background": 0, "liver": 1, "spleen": 7})
    with pytest.raises(InputError, match="chosen for other labels") as error:
        read_for(file, other)
    assert error.value.file == file and '"liver": 3' in error.value.found
    assert read_for(file, LabelScheme(organs.values, ignore=255)) == (LARGEST,)


def test_a_class_that_was_written_by_hand_must_be_one(file, organs):
    file.write_text("inference:\n  postprocessing:\n    - {name: fill_holes, of: kidney}\n")
    with pytest.raises(InputError, match="no class 'kidney'") as error:
        read_for(file, organs)
    assert error.value.file == file


@pytest.mark.parametrize(
    "text", ["", "[]", "inference: 3", "inference: {postprocessing: 3}", "a: [", "\0", "inference:"]
)
def test_what_is_no_such_file_is_refused(file, text):
    file.write_text(text)
    with pytest.raises(InputError, match="no postprocessing file") as error:
        read(file)
    assert error.value.file == file


def test_an_absent_or_wrong_step_is_named_with_the_file(file):
    with pytest.raises(InputError, match="no such file"):
        read(file.with_name("absent.yaml"))
    file.write_text("inference: {postprocessing: [{name: largest, of: liver}]}")
    with pytest.raises(InputError, match="no such step") as error:
        read(file)
    assert error.value.file == file


def test_it_is_found_beside_the_run_from_a_fold_or_a_checkpoint(file):
    run = file.parent
    checkpoint = run / "fold_0" / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    for path in (run, run / "fold_0", checkpoint.parent, checkpoint):
        assert beside(path) == file
    lone = run.parent / "best.ckpt"
    lone.touch()
    assert beside(lone) is None


def test_what_is_asked_for_decides(file, organs):
    run = file.parent
    assert steps_for("auto", run, organs) == (LARGEST,)
    assert steps_for("auto", run.parent, organs) == ()
    assert steps_for("none", run, organs) == ()
    assert steps_for(file, "elsewhere", organs) == steps_for(str(file), "", organs) == (LARGEST,)
    assert steps_for([SMALL, LARGEST.to_dict()], run, organs) == (SMALL, LARGEST)
    with pytest.raises(InputError, match="no class 'ET'"):
        steps_for([MaskStep("fill_holes", "ET")], run, organs)


def test_weights_are_remembered_where_they_are_known(file, organs):
    assert read(file).networks == {}
    file.write_text(to_text(TRIALS, organs, cases="1", networks={"fold_0": "ab", "fold_1": "cd"}))
    assert read(file).networks == {"fold_0": "ab", "fold_1": "cd"} and not read(file).edited


@pytest.mark.parametrize("said", ["auto", "none", [LARGEST.to_dict()]])
def test_the_recipe_of_a_run_says_what_is_asked_for(file, said):
    run = file.parent
    (run / "fold_0").mkdir()
    assert asked_by_recipe(run) is None
    (run / "recipe.yaml").write_text(f"inference: {{postprocessing: {json.dumps(said)}}}")
    assert asked_by_recipe(run) == asked_by_recipe(run / "fold_0") == said
    for text in ("inference: {}", "a: [", "inference"):
        (run / "recipe.yaml").write_text(text)
        assert asked_by_recipe(run) is None
