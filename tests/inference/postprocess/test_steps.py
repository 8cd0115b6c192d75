import numpy as np
import pytest

from medseg.errors import InputError
from medseg.inference.decode import decode
from medseg.inference.postprocess import MaskStep, Postprocessor, masks

SPACING = (1.0, 0.8, 2.0)


def decoded(regions, scheme):
    """Decode bool masks, one a region, as logits are decoded."""
    return decode(np.where(np.stack(regions), 1.0, -1.0).astype(np.float32), scheme)


@pytest.fixture
def tumour(random_mask, brats):
    """Random nested regions: their masks, and the labels that they decode to."""
    whole = random_mask(0, (24, 26, 20), share=0.5)
    core = whole & random_mask(1, whole.shape, share=0.5)
    active = core & random_mask(2, whole.shape, share=0.4)
    return [whole, core, active], decoded([whole, core, active], brats)


STEPS = [MaskStep("largest_component", "?"), MaskStep("remove_small", "?", 40.0)]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
@pytest.mark.parametrize("number", range(3))
def test_what_leaves_a_region_leaves_those_inside_it_before_decoding(tumour, brats, step, number):
    regions, index = tumour
    name = list(brats.regions)[number]
    after = step.of_mask(regions[number], SPACING)
    gone = regions[number] & ~after
    assert gone.any()
    expected = [mask & ~gone if i >= number else mask for i, mask in enumerate(regions)]
    clean = Postprocessor([MaskStep(step.name, name, step.min_size)], brats)
    assert np.array_equal(clean(index, SPACING), decoded(expected, brats))


@pytest.mark.parametrize("number", range(3))
def test_a_hole_in_a_region_is_filled_in_those_around_it_before_decoding(
    random_mask, brats, number
):
    regions = [random_mask(0, (24, 26, 20), share=0.85)]
    for seed in (1, 2):
        regions.append(regions[-1] & random_mask(seed, (24, 26, 20), share=0.85))
    index = decoded(regions, brats)
    name = list(brats.regions)[number]
    come = masks.fill_holes(regions[number]) & ~regions[number]
    assert come.any()
    expected = [mask | come if i <= number else mask for i, mask in enumerate(regions)]
    clean = Postprocessor([MaskStep("fill_holes", name)], brats)
    assert np.array_equal(clean(index, SPACING), decoded(expected, brats))


def test_small_enhancing_tumour_becomes_what_lies_around_it(brats):
    index = np.zeros((12, 12), np.uint8)
    index[1:11, 1:11] = 2  # oedema
    index[2:8, 2:8] = 1  # necrosis
    index[3:5, 3:5] = index[7, 7] = 3  # enhancing, 4 voxels and 1
    after = Postprocessor([MaskStep("remove_small", "ET", 3)], brats)(index, (1.0, 1.0))
    changed = index != after
    assert changed.sum() == 1 and changed[7, 7] and after[7, 7] == 1


def test_classes_are_cleaned_apart_and_a_hole_spares_another_class(organs):
    index = np.zeros((14, 9, 9), np.uint8)
    index[1:8, 1:8, 1:8] = 1
    index[4, 4, 4] = 0
    index[2, 2, 2] = 2  # spleen, enclosed by the liver
    index[10:13, 2:5, 2:5] = 2
    index[10, 7, 7] = 1
    filled = Postprocessor([MaskStep("fill_holes", "liver")], organs)(index, SPACING)
    assert filled[4, 4, 4] == 1 and filled[2, 2, 2] == 2 and (filled != index).sum() == 1
    largest = Postprocessor(
        [MaskStep("largest_component", "liver"), MaskStep("largest_component", "spleen")], organs
    )(index, SPACING)
    assert largest[10, 7, 7] == 0 and largest[2, 2, 2] == 0 and (largest != index).sum() == 2


def test_the_largest_of_the_whole_foreground_keeps_what_touches(organs):
    index = np.zeros((10, 10), np.uint8)
    index[:4, :4], index[4, 4], index[8, 8] = 1, 2, 2
    after = Postprocessor([MaskStep("largest_component")], organs)(index, (1.0, 1.0))
    assert after[4, 4] == 2 and after[8, 8] == 0 and (after != index).sum() == 1


def test_steps_are_taken_in_their_order(organs):
    ring = np.zeros((9, 9), np.uint8)
    ring[1:6, 1:6] = 1
    ring[2:5, 2:5] = 0  # 16 voxels around a hole of 9
    small, fill = MaskStep("remove_small", "liver", 20), MaskStep("fill_holes", "liver")
    assert Postprocessor([fill, small], organs)(ring, (1.0, 1.0)).sum() == 25
    assert Postprocessor([small, fill], organs)(ring, (1.0, 1.0)).sum() == 0


def test_what_needs_no_change_is_given_back_itself(organs):
    index = np.zeros((5, 6), np.uint8)
    clean = Postprocessor([MaskStep("largest_component", "liver")], organs)
    assert clean(index, (1.0, 1.0)) is index
    index[1:3, 1:3] = 1
    assert clean(index, (1.0, 1.0)) is index
    index[4, 4] = 1
    before = index.copy()
    assert clean(index, (1.0, 1.0)) is not index and np.array_equal(index, before)


def test_a_step_is_rebuilt_from_plain_containers():
    for step in (MaskStep("largest_component"), MaskStep("remove_small", "ET", 12.5)):
        assert MaskStep.from_dict(step.to_dict()) == step
    assert MaskStep.from_dict({"name": "fill_holes", "of": "a", "min_size": None}).to_dict() == {
        "name": "fill_holes",
        "of": "a",
    }


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"name": "largest"}, "largest_component"),
        ({"name": "remove_small", "of": "liver"}, "needs min_size"),
        ({"name": "fill_holes", "of": "liver", "min_size": 3}, "takes no min_size"),
        ({"name": "remove_small", "of": "liver", "min_size": -1}, "negative"),
        ({"name": "remove_small", "of": "liver", "min_size": float("nan")}, "negative"),
        ({"name": "remove_small", "of": "liver", "min_size": "big"}, "must be a number"),
        ({"name": "fill_holes", "off": "liver"}, "off"),
        ({"of": "liver"}, "no step"),
        ("fill_holes", "no step"),
    ],
)
def test_what_is_no_step_is_refused(state, word):
    with pytest.raises(InputError) as error:
        MaskStep.from_dict(state)
    assert word in str(error.value)


def test_holes_of_the_whole_foreground_have_no_class_to_fill_them(organs, brats):
    for scheme in (organs, brats):
        with pytest.raises(InputError, match="no class says with what"):
            Postprocessor([MaskStep("fill_holes")], scheme)
