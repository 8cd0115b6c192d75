from __future__ import annotations

import pytest

from medseg.errors import InputError
from medseg.inference.detection.choosing import Choice, Trial
from medseg.inference.detection.keep_file import NAME, beside, read, read_for
from medseg.inference.detection.keep_text import summary, to_text
from medseg.inference.detection.keeping import KeepRule
from medseg.inference.detection.operating import Operating

CLASSES = ("nodule", "odd: #1 {ü}\u2028")
RULE = KeepRule(0.3, {"nodule": 3.2}, {"nodule": 1e-05, CLASSES[1]: 0.25})
CHOICE = Choice(
    RULE,
    (
        Trial("nms", "", 0.5, "mAP", 0.8, 0.8001, False),
        Trial("nms", "", 0.3, "mAP", 0.8, 0.85, True),
        Trial("min_size", "nodule", 3.2, "mAP", 0.85, 0.86, True),
        Trial("score", "nodule", 1e-05, "F1", 0.3, 0.8, True),
        Trial("score", CLASSES[1], 0.25, "F1", 0.4, 0.7, True),
    ),
    {
        "nodule": Operating(1e-05, 0.925, 0.375, 0.8),
        CLASSES[1]: Operating(0.25, 0.5, 1 / 3, 0.7),
    },
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run" / NAME
    path.parent.mkdir()
    path.write_text(
        to_text(CHOICE, CLASSES, cases="10 held-out cases of 5 folds", networks={"fold_0": "ab"}),
        encoding="utf-8",
    )
    return path


def test_what_is_written_is_read_and_says_what_each_value_brought(file):
    found = read(file)
    assert found.rule == found.chosen == RULE and not found.edited
    assert read_for(file, CLASSES) == RULE == read_for(file, CLASSES[::-1])
    assert found.networks == {"fold_0": "ab"} and found.classes == CLASSES
    text = file.read_text(encoding="utf-8")
    assert "10 held-out cases of 5 folds" in text
    assert "above which a box goes; mAP 0.8000 -> 0.8500" in text
    assert "F1 0.3000 -> 0.8000; finds 92.5% with 0.375 false positives a case" in text
    assert "nms 0.5  # mAP 0.8000 -> 0.8001" in text[text.index("# Tried and left out") :]


def test_a_summary_says_each_value_with_its_gain(file):
    lines = summary(read(file))
    assert lines[0] == "nms 0.3: mAP 0.8000 -> 0.8500" and len(lines) == 4
    assert lines[1] == "min_size of nodule 3.2: mAP 0.8500 -> 0.8600"


def test_edits_are_known_as_edits(file):
    file.write_text(file.read_text(encoding="utf-8").replace("  nms: 0.3 ", "  nms: 0.4 "))
    found = read(file)
    assert found.edited and found.rule.nms == 0.4
    first, second = summary(found)[:2]
    assert "was not measured" in first and "0.8600" in second
    file.write_text(file.read_text(encoding="utf-8").replace("# chosen: {", "# chosen: {{"))
    assert read(file).edited and read(file).chosen is None


def test_nothing_that_gains_is_said_and_read_as_nothing(tmp_path):
    path = tmp_path / NAME
    left = Choice(KeepRule(), CHOICE.trials[:1], {})
    path.write_text(to_text(left, CLASSES, cases="one case"), encoding="utf-8")
    found = read(path)
    assert found.rule == KeepRule() and not found.edited
    assert summary(found) == ["all boxes are kept: no step that was tried gains"]
    path.write_text("detection: {}")
    assert read(path).edited and summary(read(path)) == ["all boxes are kept"]


def test_the_file_of_other_classes_is_refused(file):
    with pytest.raises(InputError, match="chosen for other classes") as error:
        read_for(file, ("nodule",))
    assert error.value.file == file
    file.write_text("detection: {score: {nodul: 0.5}}")
    with pytest.raises(InputError, match="no class 'nodul'") as error:
        read_for(file, CLASSES)
    assert error.value.file == file and "nodule" in error.value.remedy


@pytest.mark.parametrize("text", ["", "[]", "detection: 3", "a: [", "\0", "detection:", "x: {}"])
def test_what_is_no_such_file_is_refused(file, text):
    file.write_text(text)
    with pytest.raises(InputError, match="not say which boxes are kept") as error:
        read(file)
    assert error.value.file == file


def test_a_value_that_is_none_is_named_with_the_file(file):
    with pytest.raises(InputError, match="no such file"):
        read(file.with_name("absent.yaml"))
    file.write_text("detection: {nms: 3}")
    with pytest.raises(InputError, match="nms is an IoU") as error:
        read(file)
    assert error.value.file == file


def test_it_is_found_beside_the_run_from_a_fold_or_a_checkpoint(file):
    run = file.parent
    checkpoint = run / "fold_0" / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    for path in (run, run / "fold_0", checkpoint.parent, checkpoint):
        assert beside(path) == file
    assert beside(run.parent) is None
