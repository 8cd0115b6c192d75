import math

import pytest

from medseg.training.schedule import SCHEDULES, Constant, Cosine, Poly


def test_poly_is_nnunets_formula():
    for step in (0, 10, 250, 999):
        assert Poly()(step / 1000) == pytest.approx((1 - step / 1000) ** 0.9)


def test_cosine_rises_to_one_at_the_end_of_warm_up_and_falls_to_final():
    schedule = Cosine(warmup=0.1, final=0.02)
    assert schedule(0.0) == pytest.approx(0.05)
    assert schedule(0.1) == pytest.approx(1.0)
    assert schedule(0.55) == pytest.approx(0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi / 2)))
    assert schedule(1.0) == pytest.approx(0.02)


def test_constant_stays_at_one_after_warm_up():
    assert Constant(warmup=0.5)(0.75) == 1.0


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_within_zero_and_one_even_past_the_end(name):
    schedule = SCHEDULES[name](warmup=0.2)
    assert all(0.0 <= schedule(i / 10) <= 1.0 for i in range(13))


def test_a_warm_up_longer_than_the_training_is_refused():
    with pytest.raises(ValueError, match="fraction of the training"):
        Cosine(warmup=1.0)
