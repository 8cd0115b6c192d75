"""Names that mean the same are one, and the very same name comes first."""

import pytest

from medseg.training.transfer.naming import by_name, meaning


def test_names_are_mapped_whatever_the_case_of_letters():
    assert by_name(["T2", " ct", "t1"], ["T1", "T2"]) == [1, None, 0]
    assert by_name(["a", None], [None, "a", "A"]) == [1, None]


@pytest.mark.parametrize(
    ("names", "same"),
    [
        (("T1c", "T1ce", "t1gd"), True),
        (("FLAIR", "t2f"), True),
        (("T1", "T1ce"), False),
        (("T2", "T2f"), False),
        (("Whole tumor", "WT", "whole tumour"), True),
        (("Right Kidney", "right_kidney", "right-kidney"), True),
        (("kidney", "right_kidney"), False),
    ],
)
def test_names_of_the_same_meaning(names, same):
    assert (len({meaning(name) for name in names}) == 1) == same


def test_the_very_name_is_taken_before_one_that_means_the_same():
    assert by_name(["T1w", "T1"], ["T1", "T1w"]) == [1, 0]
    assert by_name(["T1n"], ["T2", "T1w", "T1"]) == [1]
