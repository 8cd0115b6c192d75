"""Maps that number objects hold whole numbers, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medseg.data.prepare.instance_maps import whole_numbers
from medseg.errors import InputError

MAP = Path("map.nii.gz")


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_what_they_are(kind):
    found = whole_numbers(np.array([0, 3, 100], dtype=kind), MAP)
    assert found.dtype == np.int64 and found.tolist() == [0, 3, 100]


def test_what_scaling_moved_a_little_is_whole():
    assert whole_numbers(np.array([0.0, 0.9999999, 2.004]), MAP).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 1.5], "numbers no object"),
        ([0, 0.3, 0.7, 1], "numbers no object"),
        ([0, 1e30], "numbers no object"),
        ([0, np.nan], "not finite"),
        ([0, np.inf], "not finite"),
    ],
)
def test_what_numbers_nothing_is_refused(values, words):
    with pytest.raises(InputError, match=words) as error:
        whole_numbers(np.array(values), MAP)
    assert error.value.file == MAP and error.value.found and error.value.remedy


def test_a_jpeg_is_no_map():
    with pytest.raises(InputError, match="JPEG") as error:
        whole_numbers(np.array([0, 1], dtype=np.uint8), Path("map.JPG"))
    assert "PNG" in error.value.remedy
