import math
from itertools import groupby

import numpy as np
import pytest

from medseg.inference.postprocess import MaskStep, Postprocessor
from medseg.inference.postprocess.choosing import choose, differences, improves, mean
from medseg.labels import IGNORED, LabelScheme
from medseg.metrics import evaluate_pairs

SPACING = (1.0, 1.0, 2.0)
SHAPE = (24, 24, 16)


def case(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A liver whose prediction has a hole and far specks; a spleen in two true parts."""
    ref = np.zeros(SHAPE, np.uint8)
    ref[2:12, 2:12, 2:10] = 1
    ref[16:20, 16:20, 2:6] = ref[16:20, 4:7, 2:6] = 2
    pred = ref.copy()
    pred[2 : 3 + number % 3, 2:12, 2:10] = 0  # not perfect
    pred[6:8, 6:8, 5:7] = 0  # a hole
    pred[20:22, 20:22, 12:14] = 1  # a speck of 8 voxels
    pred[1, 22, 14] = 2  # and one of a voxel
    return pred, ref


@pytest.fixture
def cases():
    return [(*case(i), SPACING) for i in range(5)]


def scores(cases, scheme, steps=(), **options):
    """Score by the product's own evaluation, which knows nothing of how steps are chosen."""
    clean = Postprocessor(steps, scheme)
    found = evaluate_pairs(
        [(str(i), clean(pred, mm), ref, mm) for i, (pred, ref, mm) in enumerate(cases)],
        scheme,
        **options,
    )
    return {name: entry["dice"]["mean"] for name, entry in found["per_class"].items()}


def kept(trials):
    return [trial.step for trial in trials if trial.kept]


def test_what_helps_is_kept_and_what_harms_is_not(cases, organs):
    steps = kept(choose(cases, organs))
    assert [(step.name, step.of) for step in steps] == [
        ("largest_component", "liver"),
        ("fill_holes", "liver"),
        ("remove_small", "spleen"),  # a true spleen has two parts here
    ]
    cleaned = Postprocessor(steps, organs)
    for pred, ref, mm in cases:
        after = cleaned(pred, mm)
        assert np.array_equal(after == 2, ref == 2) and not after[20:22].any()


def test_each_gain_is_that_of_the_scores(cases, organs):
    trials = choose(cases, organs)
    taken = []
    for _, sizes in groupby(trials, key=lambda trial: (trial.step.name, trial.step.of)):
        one_round = list(sizes)
        for trial in one_round:
            assert trial.before == pytest.approx(scores(cases, organs, taken))
            assert trial.after == pytest.approx(scores(cases, organs, [*taken, trial.step]))
        taken += kept(one_round)
    assert taken == kept(trials)
    assert mean(trials[-1].after) > mean(trials[0].before)


def test_no_class_is_sacrificed_to_the_mean(brats):
    ref = np.zeros(SHAPE, np.uint8)
    ref[2:14, 2:14, 2:12] = 2
    ref[4:6, 4:6, 4:6] = 3
    pred = ref.copy()
    # Far off a tumour that is there, and much that is not: without it WT gains, and ET loses.
    pred[17:23, 17:23, 2:12] = 2
    ref[18:20, 18:20, 4:6] = pred[18:20, 18:20, 4:6] = 3
    trials = choose([(pred, ref, SPACING)] * 2, brats)
    first = next(t for t in trials if t.step == MaskStep("largest_component", "WT"))
    assert first.after["WT"] > first.before["WT"]
    assert first.after["ET"] < first.before["ET"] and not first.kept


def test_a_region_is_chosen_for_and_its_parent_gets_the_voxels(brats):
    ref = np.zeros(SHAPE, np.uint8)
    ref[2:20, 2:20, 2:12] = 2
    ref[4:10, 4:10, 4:8] = 1
    pred = ref.copy()
    pred[5, 5, 5] = 3  # enhancing tumour that is not there
    # References without enhancing tumour say nothing of how small one may be.
    assert not kept(choose([(pred, ref, SPACING), (ref, ref, SPACING)], brats, empty="one"))
    ref[12:16, 12:16, 4:8] = pred[12:16, 12:16, 4:8] = 3
    steps = kept(choose([(pred, ref, SPACING)] * 2, brats))
    assert [(s.name, s.of) for s in steps] == [("largest_component", "ET")]
    assert np.array_equal(Postprocessor(steps, brats)(pred, SPACING), ref)


def test_sizes_follow_from_the_references_whatever_the_unit(cases, organs):
    # The same voxels in nanometres and in metres: the sizes scale with them, the choice stays.
    for factor in (1e-6, 1.0, 1e3):
        scaled = [(pred, ref, tuple(s * factor for s in mm)) for pred, ref, mm in cases]
        steps = kept(choose(scaled, organs))
        assert [s.name for s in steps] == ["largest_component", "fill_holes", "remove_small"]
        voxel = math.prod(SPACING) * factor**3
        assert voxel < steps[-1].min_size <= 48 * voxel


def test_voxels_that_nobody_labelled_do_not_count(organs):
    scheme = LabelScheme(organs.values, ignore=255)
    pred, ref = case(0)
    ref[20:22, 20:22, 12:14] = IGNORED  # where the prediction has its speck
    steps = kept(choose([(pred, ref, SPACING)] * 2, scheme))
    assert ("largest_component", "liver") not in [(s.name, s.of) for s in steps]
    trials = choose([(pred, ref, SPACING)], scheme)
    assert trials[0].before == pytest.approx(scores([(pred, ref, SPACING)], scheme))


@pytest.mark.parametrize("empty", ["skip", "one"])
def test_false_alarms_in_empty_cases_count_by_the_rule(organs, empty):
    pred, ref = case(0)
    nothing = np.zeros(SHAPE, np.uint8)
    alarm = nothing.copy()
    alarm[3, 3, 3] = 2
    cases = [(pred, ref, SPACING), (alarm, nothing, SPACING), (nothing, nothing, SPACING)]
    trials = choose(cases, organs, empty=empty)
    assert trials[0].before == pytest.approx(scores(cases, organs, empty=empty))
    steps = kept(trials)
    assert "remove_small" in [s.name for s in steps if s.of == "spleen"]
    last = [trial for trial in trials if trial.kept][-1]
    assert last.after == pytest.approx(scores(cases, organs, steps, empty=empty))


def test_a_perfect_prediction_is_left_alone(cases, organs):
    trials = choose([(ref, ref, mm) for _, ref, mm in cases], organs)
    assert not kept(trials) and len(trials) > 4


def test_pictures_are_chosen_for_too(organs):
    flat = [(pred[:, :, 4], ref[:, :, 4], SPACING[:2]) for pred, ref in map(case, range(3))]
    for pred, *_ in flat:
        pred[22, 22] = 1
    assert ("largest_component", "liver") in [(s.name, s.of) for s in kept(choose(flat, organs))]


def test_a_single_class_is_not_tried_twice(cases):
    scheme = LabelScheme({"liver": 1})
    trials = choose([(pred == 1, ref == 1, mm) for pred, ref, mm in cases], scheme)
    assert {trial.step.of for trial in trials} == {"liver"}


@pytest.mark.parametrize(
    ("after", "better"),
    [
        ({"a": 0.6, "b": 0.5}, True),
        ({"a": 0.50005, "b": 0.5}, False),  # below what tables show
        ({"a": 0.9, "b": 0.4999}, False),
        ({"a": 0.5, "b": 0.5}, False),
        ({"a": math.nan, "b": 0.5}, False),
        ({"a": math.nan, "b": 0.6}, True),
    ],
)
def test_a_class_must_gain_and_none_may_lose(after, better):
    before = {"a": 0.5, "b": 0.5}
    assert improves(before, after) == better
    assert all(map(math.isfinite, differences(before, after).values()))


def test_progress_is_told_to_the_end(cases, organs):
    told = []
    choose(cases, organs, advance=lambda done, total: told.append((done, total)))
    assert told[0][0] == 0 and told[-1][0] == told[-1][1] == len(told) - 1
