"""What no image could hold is refused where it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from medseg.data.formats.drawn import Drawn, gather, numbered, part_notes, require_sound
from medseg.errors import InputError

FILE = Path("a.json")


@pytest.mark.parametrize(
    ("frame", "numbers", "words"),
    [
        ("voxels", (5, 2, 4, 9), "swapped"),
        ("voxels", (1, 2, 1, 9), "no size"),
        ("voxels", (float("nan"), 2, 4, 9), "no finite number"),
        ("spheres", (0, 0, 0, 0), "no size"),
        ("spheres", (0, 0, 0, -3), "negative size"),
        ("spheres", (0, 0, float("inf"), 3), "no finite number"),
        ("voxels", (0, 0, 0, 1, 0, 1), "no size"),
        ("slices", (4, 0, 10.0, 2, 3, 10.0), "swapped"),
    ],
)
def test_what_is_no_object_is_refused_by_its_place(frame, numbers, words):
    with pytest.raises(InputError, match=f"line 7 .*{words}") as error:
        require_sound([Drawn("line 7", "cell", numbers)], frame, file=FILE)
    assert error.value.file == FILE and error.value.expected and error.value.remedy


def test_an_object_that_is_listed_twice_names_both_places():
    twice = [Drawn(f"line {n}", "cell", (0, 0, 1, 1)) for n in (2, 5)]
    with pytest.raises(InputError, match="line 5 is the same as line 2"):
        require_sound(twice, "voxels", file=FILE)


def test_one_slice_and_two_classes_at_one_place_are_sound():
    require_sound([Drawn("a", "x", (0, 0, 5.0, 2, 2, 5.0))], "slices", file=FILE)
    require_sound([Drawn("a", k, (0, 0, 1, 1)) for k in "xy"], "voxels", file=FILE)


def test_objects_and_what_is_ignored_are_gathered():
    drawn = [Drawn("a", "y", (0, 0, 1, 1)), Drawn("b", "x", (0, 0, 2, 2), True)]
    found = gather(drawn, "voxels", {"x": 0, "y": 1}, file=FILE)
    assert found.objects == ((0, 0, 1, 1),) and found.classes == (1,)
    assert found.ignored == ((0, 0, 2, 2),) and found.file == FILE


def test_classes_are_numbered_by_name_from_1():
    assert numbered(["b", "a", "b"]) == {"a": 1, "b": 2}


def test_annotations_of_a_larger_collection_are_noted():
    assert part_notes([], "nodules") == ()
    assert part_notes(["a", "b"], "nodules") == ("nodules of 2 images that are not here, left out",)
