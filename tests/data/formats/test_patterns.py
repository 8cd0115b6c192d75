from __future__ import annotations

import fnmatch
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.data.formats.patterns import compile_pattern
from medseg.errors import InputError


def compiled(pattern):
    return compile_pattern(pattern, key="group_pattern", fields=("group",), required="group")


@pytest.mark.parametrize(
    ("pattern", "name", "group"),
    [
        ("{group}_*", "p1_a_b", "p1_a"),
        ("*_{group}_*", "a_b_c_d", "c"),
        ("sub-{group}_*_*_T1w", "sub-01_ses-1_run-2_T1w", "01"),
        ("{group}?", "01L", "01"),
        ("{group}_*_*", "p1_a", None),
    ],
)
def test_the_group_is_what_stands_in_its_place(pattern, name, group):
    match = compiled(pattern).fullmatch(name)
    assert (match and match["group"]) == group


@settings(max_examples=200, deadline=None)
@given(st.text("ab*?", max_size=8), st.text("ab", min_size=1, max_size=8))
def test_stars_behind_the_field_match_what_the_shells_do(tail, name):
    # fnmatch knows no fields; a field takes one character at least.
    fits = fnmatch.fnmatchcase(name, "?*" + tail)
    assert (compiled("{group}" + tail).fullmatch(name) is not None) == fits


@pytest.mark.parametrize("pattern", ["{group}*a*a*a*a*a*a*a*a*b", "*a*a*a{group}*a*a*a*a*b"])
def test_a_name_that_does_not_fit_is_known_at_once(pattern):
    begun = time.perf_counter()
    assert compiled(pattern).fullmatch("a" * 60) is None
    assert time.perf_counter() - begun < 2


def test_more_stars_than_can_be_tried_are_refused():
    with pytest.raises(InputError, match="too many stars"):
        compiled("*_*_*_*_{group}")
    compile_pattern("*/*/*/*/{case}_{channel}", key="image_pattern")
