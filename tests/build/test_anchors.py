from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest

from medseg import build
from medseg.errors import InputError
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity
from medseg.planning.plan import Plan
from medseg.recipe import load_text

STATS = Intensity(1000, 0.0, 500.0, 100.0, 20.0, 10.0, 99.0, 400.0)
CASE = CaseFingerprint(
    id="case",
    shape=(120, 100, 80),
    spacing=(1.0, 1.0, 1.0),
    orientation="RAS",
    cropped_shape=(120, 100, 80),
    image_dtype="float32",
    label_dtype="uint8",
    foreground=(STATS,),
    nonzero=(STATS,),
    label_voxels=(100, 100),
    objects=((0, 10.0, 12.0, 8.0), (0, 6.0, 6.0, 6.0)),
    overlaps=(0.05, 0.05),
)
LABELS = {"values": {"background": 0, "a": 1}}


def fingerprint(**changes: object) -> Fingerprint:
    return Fingerprint(("MRI",), LABELS, (replace(CASE, **changes),) * 20, (STATS,))


def planned(text: str = "", found: Fingerprint | None = None, network="retina_unet", **options):
    recipe = load_text(f"task: detection\nnetwork: {network}\n" + text)
    return build.build_plan(recipe, found or fingerprint(), **options)


def test_a_detection_has_levels_anchors_and_overlap_with_their_reasons():
    made = planned()
    plan = made.plan
    assert plan.levels and plan.overlap == 0.2
    assert len(plan.anchors) == len(plan.levels)
    assert {"levels", "anchors", "overlap"} <= set(made.reasons)
    assert Plan.from_dict(plan.to_dict()) == plan


@pytest.mark.parametrize(
    ("network", "levels", "said"),
    [("retina_net", [1, 2], False), ("centre_net", [1], False), ("centre_net", [1, 2], True)],
)
def test_levels_that_a_network_does_not_look_at_are_said(network, levels, said):
    reason = planned(network=network, edits={"levels": levels}).reasons["levels"]
    assert ("centre_net looks at the first alone" in reason) == said


LARGE = ((0, 60.0, 60.0, 60.0),)


def test_objects_of_which_no_patch_shows_enough_are_refused():
    found = fingerprint(objects=(*LARGE, (1, 6.0, 6.0, 6.0)), overlaps=(0.0, 0.0))
    found = replace(found, labels={"values": {"background": 0, "a": 1, "b": 2}})
    small = "plan: {patch_size: 32, spacing: 1}\n"
    with pytest.raises(InputError, match="too small to learn any object of class 'a'") as error:
        planned(small, found)
    # (32 / 60)³ of a cube of 60 voxels.
    assert error.value.found == "15.17% at most, in 32 x 32 x 32 voxels"
    assert "plan.patch_size=[64, 64, 64]" in error.value.remedy
    assert planned(small + "detection: {min_visible: 0.15}\n", found)
    assert planned("plan: {patch_size: 64, spacing: 1}\n", found)


def test_how_many_objects_are_too_large_is_said():
    found = fingerprint(objects=(*LARGE, *[(0, 6.0, 6.0, 6.0)] * 3), overlaps=(0.0,) * 4)
    recipe = load_text("task: detection\nnetwork: retina_unet\nplan: {patch_size: 32, spacing: 1}")
    plan = build.build_plan(recipe, found).plan
    assert "25.0% of the objects are too large to be learnt" in build.too_large(recipe, plan, found)
    assert build.too_large(recipe, replace(plan, patch_size=(64, 64, 64)), found) is None


def test_small_objects_leave_the_spacing_to_the_data():
    assert planned().plan.preprocessing.spacing == (1.0, 1.0, 1.0)


def test_large_objects_are_looked_for_at_a_coarser_one():
    large = fingerprint(objects=((0, 48.0, 40.0, 32.0),) * 3)
    made = planned(found=large)
    assert made.plan.preprocessing.spacing == (2.0, 2.0, 2.0)
    assert "16 voxels" in made.reasons["spacing"]
    assert max(max(size) for level in made.plan.anchors for size in level) < 40


DOTS = {"objects": ((0, 2.6, 2.5, 2.4), (0, 2.4, 2.5, 2.6))}


@pytest.mark.parametrize("network", ["retina_unet", "retina_net", "centre_net"])
def test_where_full_resolution_is_a_level_the_fast_preset_has_half_the_voxels(network):
    fast = "plan: {preset: fast}"
    usual = planned(fast, network=network)
    dots = planned(fast, fingerprint(**DOTS), network=network)
    assert usual.plan.levels[0] > 0 and dots.plan.levels[0] == 0
    assert 2**17 < prod(usual.plan.patch_size) <= 2**18
    assert 2**16 < prod(dots.plan.patch_size) <= 2**17
    assert dots.plan.batch_size == usual.plan.batch_size
    assert "at most 131072 voxels" in dots.reasons["patch_size"]
    assert "full resolution" in dots.reasons["patch_size"]
    assert "full resolution" not in usual.reasons["patch_size"]


def test_a_patch_of_ones_own_and_other_presets_stay_where_full_resolution_is_a_level():
    found = fingerprint(**DOTS)
    own = planned("plan: {preset: fast, patch_size: [64, 64, 64]}", found)
    assert own.plan.levels[0] == 0 and own.plan.patch_size == (64, 64, 64)
    standard = "plan: {preset: standard}"
    assert planned(standard, found).plan.patch_size == planned(standard).plan.patch_size


@pytest.mark.parametrize("text", ["plan: {spacing: 1}", "plan: {preset: standard}"])
def test_unless_someone_says_otherwise(text):
    large = fingerprint(objects=((0, 48.0, 40.0, 32.0),) * 3)
    assert planned(text, found=large).plan.preprocessing.spacing == (1.0, 1.0, 1.0)


def test_crowded_objects_may_overlap_as_much_as_they_do():
    assert planned(found=fingerprint(overlaps=(0.4, 0.4))).plan.overlap == 0.4


def test_a_recipe_and_a_person_know_better():
    assert planned("detection: {overlap: 0.3}").plan.overlap == 0.3
    edits = {"overlap": 0.5, "anchors": [[[4, 4, 4]], [[8, 8, 8]]], "levels": [1, 2]}
    edited = planned(edits=edits)
    assert edited.plan.overlap == 0.5
    assert edited.plan.anchors == (((4.0, 4.0, 4.0),), ((8.0, 8.0, 8.0),))


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"overlap": 2}, "overlap"),
        ({"overlap": True}, "overlap"),
        ({"anchors": [[[4, 4]]]}, "anchors"),
        ({"anchors": "many"}, "anchors"),
        ({"anchors": [[[0, 4, 4]]], "levels": [1]}, "anchors"),
    ],
)
def test_edits_that_cannot_be_are_refused(edits, words):
    with pytest.raises(InputError, match=words):
        planned(edits=edits)
