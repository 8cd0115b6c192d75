from __future__ import annotations

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.labels import IGNORED, LabelScheme, is_foreground

BRATS = LabelScheme(
    {"background": 0, "NCR": 1, "ED": 2, "ET": 4},
    {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)},
)


def test_background_is_added_and_comes_first():
    scheme = LabelScheme({"b": 5, "a": 2})
    assert list(scheme.values.items()) == [("background", 0), ("a", 2), ("b", 5)]
    assert scheme.foreground == ("a", "b")
    assert scheme.num_outputs == 3


def test_values_and_indices_are_inverse():
    scheme = LabelScheme({"background": 0, "a": 7, "b": 300, "c": -2})
    values = np.array([[0, 7], [300, -2]])
    index = scheme.to_index(values)
    assert index.dtype == np.uint8
    assert np.array_equal(scheme.to_value(index), values)


def test_look_up_agrees_with_one_pass_per_class():
    rng = np.random.default_rng(0)
    declared = [0, *sorted(rng.choice(np.arange(1, 255), 60, replace=False).tolist())]
    scheme = LabelScheme({f"c{v}": v for v in declared})
    label = rng.choice(declared, (9, 8, 7))
    expected = np.stack([label == v for v in declared]).argmax(0)
    for kind in (np.uint8, np.int16, np.uint32, np.float32, np.float64, ">i2"):
        assert np.array_equal(scheme.to_index(label.astype(kind)), expected)


def test_values_too_far_apart_for_a_table_still_map():
    scheme = LabelScheme({"background": 0, "far": 2_000_000_000})
    assert scheme.to_index(np.array([0, 2_000_000_000])).tolist() == [0, 1]


@pytest.mark.parametrize("stored", [0.99999997, 1.0000001, 0.995])
def test_almost_whole_numbers_count_as_whole(stored):
    scheme = LabelScheme({"background": 0, "a": 1})
    assert scheme.to_index(np.array([0.0, stored])).tolist() == [0, 1]


def test_fractions_are_refused():
    with pytest.raises(InputError, match="whole numbers"):
        LabelScheme({"a": 1}).to_index(np.array([0.0, 0.5]))


@pytest.mark.parametrize("value", [3, -1, 70000])
def test_undeclared_values_are_named(value):
    with pytest.raises(InputError, match="not declared") as caught:
        LabelScheme({"a": 1, "b": 4}).to_index(np.array([0, 1, value]))
    assert str(value) in str(caught.value)
    assert "[0, 1, 4]" in str(caught.value)


def test_an_empty_array_maps_to_an_empty_array():
    assert LabelScheme({"a": 1}).to_index(np.zeros((0, 3))).shape == (0, 3)


def test_nested_regions_decode_to_the_label_that_is_theirs_alone():
    assert BRATS.order == (2, 1, 4)
    assert BRATS.num_outputs == 3
    assert BRATS.region_indices() == ((1, 2, 3), (1, 3), (3,))


def test_a_region_of_an_undeclared_value_is_refused():
    with pytest.raises(InputError, match="declared"):
        LabelScheme({"a": 1}, {"R": (1, 2)})


def test_regions_that_do_not_nest_ask_for_an_order():
    with pytest.raises(InputError, match="region_order"):
        LabelScheme({"a": 1, "b": 2}, {"R": (1, 2)})


def test_two_names_for_one_value_are_refused():
    with pytest.raises(InputError, match="share"):
        LabelScheme({"a": 1, "b": 1})


def test_more_labels_than_a_byte_holds_are_refused():
    with pytest.raises(InputError, match="too many"):
        LabelScheme({f"c{v}": v for v in range(257)})


def test_dictionary_round_trip():
    assert LabelScheme.from_dict(BRATS.to_dict()) == BRATS
    assert LabelScheme.from_dict(SCRIBBLES.to_dict()) == SCRIBBLES
    assert "ignore" not in BRATS.to_dict()


SCRIBBLES = LabelScheme({"background": 0, "a": 1, "b": 2}, ignore=9)


def test_an_ignored_value_has_an_index_and_no_output():
    assert SCRIBBLES.to_index(np.array([0, 1, 2, 9])).tolist() == [0, 1, 2, IGNORED]
    assert SCRIBBLES.num_outputs == 3
    assert SCRIBBLES.foreground == ("a", "b")
    assert SCRIBBLES.region_indices() == ((1,), (2,))


def test_ignored_values_and_indices_are_inverse():
    values = np.array([9, 0, 2, 1])
    assert SCRIBBLES.to_value(SCRIBBLES.to_index(values)).tolist() == values.tolist()
    far = LabelScheme({"a": 1, "b": 2_000_000_000}, ignore=-1)
    values = np.array([-1, 0, 1, 2_000_000_000])
    assert far.to_value(far.to_index(values)).tolist() == values.tolist()


def test_without_an_ignore_label_its_value_is_undeclared():
    with pytest.raises(InputError, match="not declared"):
        LabelScheme({"a": 1, "b": 2}).to_index(np.array([0, 9]))


@pytest.mark.parametrize("value", [0, 1])
def test_an_ignore_label_that_is_also_a_class_is_refused_with_the_reason(value):
    with pytest.raises(InputError, match="neither learnt nor scored") as caught:
        LabelScheme({"a": 1}, ignore=value)
    assert "value_map" in caught.value.remedy


def test_a_region_of_the_ignored_value_is_refused():
    with pytest.raises(InputError, match="declared"):
        LabelScheme({"a": 1, "b": 2}, {"R": (1, 9), "S": (2,)}, ignore=9)


def test_foreground_is_what_belongs_to_a_class():
    assert is_foreground(np.array([0, 1, 2, IGNORED])).tolist() == [False, True, True, False]
