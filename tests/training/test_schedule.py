import itertools
import math

import pytest

from medseg.training.schedule import SCHEDULES, Constant, Continued, Cosine, Poly


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


def extended(schedule, *, trained, total, steps=3000):
    """Factors over a training that was planned for ``trained`` and extended to ``total``."""
    start = trained / total
    longer = Continued(schedule, start=start, factor=schedule(1.0))
    before = [schedule(i / steps / start) for i in range(int(steps * start) + 1)]
    after = [longer(i / steps) for i in range(int(steps * start), steps + 1)]
    return before, after


@pytest.mark.parametrize(
    "schedule", [Cosine(), Cosine(final=0.1), Poly(), Poly(power=2), Constant()]
)
@pytest.mark.parametrize(("trained", "total"), [(15, 45), (15, 16), (15, 30), (1, 100)])
def test_an_extension_goes_on_without_a_jump_or_a_kink(schedule, trained, total):
    before, after = extended(schedule, trained=trained, total=total)
    assert after[0] == pytest.approx(before[-1], abs=1e-3)
    # Over 10 % of what is left it rises at most by a smooth step: slope 1.5 at its steepest.
    steepest = 1.5 / (0.1 * (len(after) - 1)) + math.pi / 2 / 3000 * 1.5
    assert max(abs(b - a) for a, b in itertools.pairwise(after)) <= steepest
    assert abs(after[1] - after[0]) <= 0.1 * steepest + 1e-3  # it leaves level, as it arrived
    assert after[-1] == pytest.approx(schedule(1.0), abs=1e-9)
    assert all(0.0 <= factor <= 1.0 for factor in after)


def test_after_the_join_an_extended_training_has_the_schedule_of_the_longer_one():
    longer = Continued(Cosine(), start=0.5, factor=0.0)
    for fraction in (0.56, 0.7, 1.0):
        assert longer(fraction) == Cosine()(fraction)
    assert longer(0.4) == longer(0.5) == 0.0


def test_an_interrupted_training_that_is_extended_does_not_jump_either():
    stopped = Poly()(0.4)
    longer = Continued(Poly(), start=0.1, factor=stopped)
    assert longer(0.1) == stopped
    assert longer(0.1 + 1e-4) == pytest.approx(stopped, abs=1e-4)
