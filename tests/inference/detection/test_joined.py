from __future__ import annotations

import logging

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.inference.detection import Detector, JoinedDetector
from medseg.inference.detection.keep_file import NAME
from medseg.labels import LabelScheme
from tests.detectors import corners_of, save_run, scene

SCENE = scene((24, 24, 24), ((8, 0, 16), 1), ((16, 16, 0), 2))
BOXES = [(8, 0, 16, 16, 8, 24), (16, 16, 0, 24, 24, 8)]
# The same classes in another order.
TURNED = LabelScheme({"background": 0, "mass": 1, "nodule": 2})


def load(*runs, **options) -> JoinedDetector:
    return JoinedDetector.load(runs, device="cpu", trust=["tests"], **options)


@pytest.fixture
def runs(tmp_path):
    return save_run(tmp_path / "a"), save_run(tmp_path / "b")


def test_what_all_find_is_one_box_each_of_the_same_score(runs):
    found = load(*runs)(SCENE)
    assert corners_of(found.boxes) == BOXES and np.allclose(found.scores, 1, atol=1e-4)


def test_what_one_of_two_finds_has_half_of_its_score(runs, tmp_path):
    found = load(runs[0], save_run(tmp_path / "blind", 0.0))(SCENE)
    assert corners_of(found.boxes) == BOXES and np.allclose(found.scores, 0.5, atol=1e-4)


def test_classes_are_joined_by_their_names(runs, tmp_path):
    found = load(runs[0], save_run(tmp_path / "turned", labels=TURNED))(SCENE)
    # Each takes for a nodule what the other takes for a mass.
    assert sorted(found.names) == ["mass", "mass", "nodule", "nodule"]
    assert np.allclose(found.scores, 0.5, atol=1e-4)


def test_a_rule_that_all_share_is_kept_to_and_different_ones_are_not(runs, caplog):
    for run in runs:
        (run / NAME).write_text("detection: {min_size: {mass: 9}}\n")
    assert load(*runs)(SCENE).names == ["nodule"]
    assert len(load(*runs, keep="none")(SCENE)) == 2
    (runs[1] / NAME).write_text("detection: {min_size: {nodule: 9}}\n")
    with caplog.at_level(logging.WARNING):
        assert len(load(*runs)(SCENE)) == 2
    assert "keep different boxes" in caplog.text
    assert load(*runs, keep=runs[1] / NAME)(SCENE).names == ["mass"]


def test_a_score_is_that_of_the_joined_boxes(runs, tmp_path):
    joined = load(runs[0], save_run(tmp_path / "blind", 0.0), score=0.6)
    assert len(joined(SCENE)) == 0


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"labels": LabelScheme({"background": 0, "cyst": 1})}, "same classes"),
        ({"channels": 2}, "same channels"),
        ({"spatial_dims": 2}, "same kind of image"),
    ],
)
def test_runs_that_do_not_fit_together_are_refused(runs, tmp_path, other, said):
    with pytest.raises(InputError, match=said):
        load(runs[0], save_run(tmp_path / "other", **other))


def test_one_run_alone_is_what_it_is(runs):
    alone = Detector.load(runs[0], device="cpu", trust=["tests"])
    assert np.array_equal(load(runs[0])(SCENE).boxes.corners, alone(SCENE).boxes.corners)
