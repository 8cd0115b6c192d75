"""Which axes may be mirrored."""

from __future__ import annotations

import pytest

from medseg.errors import InputError
from medseg.planning.mirroring import (
    knows_side,
    left_right,
    mirrored_in_prediction,
    mirrored_in_training,
)

CUBE, SQUARE = (32, 32, 32), (64, 64)


@pytest.mark.parametrize(
    ("orientation", "axis"), [("RAS", 0), ("LPS", 0), ("SAR", 2), (None, None)]
)
def test_left_right_is_found_by_its_code(orientation, axis):
    assert left_right(orientation) == axis


@pytest.mark.parametrize(
    "name",
    ["left kidney", "Kidney_R", "lung-left", "LeftLung", "RIGHT_VENTRICLE", "kidney2Lt", "LH area"],
)
def test_a_class_named_after_a_side_is_recognised(name):
    assert knows_side(["background", name])


@pytest.mark.parametrize("name", ["liver", "Anterior", "aorta", "cleft", "bright spot", "LV", "L4"])
def test_other_names_know_no_side(name):
    assert not knows_side([name])


def test_short_trainings_mirror_left_right_only():
    assert mirrored_in_training("RAS", CUBE, ["liver"], mild=True) == (0,)
    assert mirrored_in_training("RAS", CUBE, ["left kidney"], mild=True) == ()
    assert mirrored_in_training(None, SQUARE, ["nucleus"], mild=True) == ()


def test_long_trainings_mirror_every_axis_that_keeps_the_sides():
    assert mirrored_in_training("RAS", CUBE, ["liver"], mild=False) == (0, 1, 2)
    assert mirrored_in_training("SAR", CUBE, ["liver", "kidney_left"], mild=False) == (0, 1)
    assert mirrored_in_training(None, SQUARE, ["nucleus"], mild=False) == (0, 1)
    assert mirrored_in_training(None, SQUARE, ["right lung"], mild=False) == ()


def test_an_axis_of_one_voxel_is_not_mirrored():
    assert mirrored_in_training("RAS", (64, 64, 1), ["liver"], mild=False) == (0, 1)
    assert mirrored_in_training("RAS", (1, 64, 64), ["liver"], mild=True) == ()


def test_prediction_mirrors_left_right_if_training_did():
    assert mirrored_in_prediction("auto", "RAS", (0, 1, 2)) == (0,)
    assert mirrored_in_prediction("auto", "SAR", (0, 2)) == (2,)
    assert mirrored_in_prediction("auto", "RAS", (1,)) == ()
    assert mirrored_in_prediction("auto", None, (0, 1)) == ()


def test_prediction_mirrors_what_training_did_when_told_to():
    assert mirrored_in_prediction(True, "RAS", (1, 2)) == (1, 2)
    assert mirrored_in_prediction(False, "RAS", (0, 1, 2)) == ()


def test_mirroring_what_no_training_mirrored_is_refused():
    with pytest.raises(InputError, match="training mirrors nothing"):
        mirrored_in_prediction(True, "RAS", ())
