import pytest

from medseg.stages.numbers import short


@pytest.mark.parametrize(
    ("count", "text"),
    [(320, "320 "), (3051, "3.05 k"), (1_270_000, "1.27 M"), (31e9, "31 G"), (2e12, "2 T")],
)
def test_a_number_has_three_digits_and_a_unit(count, text):
    assert short(count) == text
