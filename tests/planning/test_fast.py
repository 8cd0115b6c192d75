from itertools import pairwise

import pytest

from medseg.planning.fast import BASE, ENOUGH_STEPS, FAST, LADDER, STEPS_SHARE, at, climb, halved

USUAL = LADDER[BASE]


def cost(unit):
    """Seconds of a step that grow fourfold from rung to rung, ``unit`` for the usual one."""
    return lambda rung: unit * 4.0 ** (LADDER.index(rung) - BASE)


def test_the_usual_rung_is_the_preset_itself():
    assert at(USUAL) == FAST


def test_two_slow_cores_keep_the_usual_network_in_four_and_in_fifteen_minutes():
    # Residual U-Net 16/32/64/128 on MSD Task04: 0.63 s a step, and 2.2 times that at width 24.
    for budget in (240, 900):
        assert climb(cost(0.63), budget)[0] == USUAL


@pytest.mark.parametrize("faster", [10, 100, 10_000])
def test_a_faster_device_takes_the_largest_rung_that_leaves_enough_steps(faster):
    seconds = cost(0.63 / faster)
    rung, steps = climb(seconds, 900)
    assert LADDER.index(rung) > BASE and steps >= ENOUGH_STEPS
    above = LADDER[LADDER.index(rung) + 1 :]
    assert not above or 900 * STEPS_SHARE / seconds(above[0]) < ENOUGH_STEPS


def test_where_hardly_a_step_would_be_taken_the_network_is_narrower():
    rung, _ = climb(cost(60), 900)
    assert rung.features < USUAL.features


def test_a_hopeless_budget_takes_the_smallest():
    assert climb(cost(1e6), 10)[0] == LADDER[0]


def test_rungs_grow():
    sizes = [(r.features, r.batch, r.patch) for r in LADDER]
    assert sizes == sorted(sizes) and len(set(sizes)) == len(sizes)
    limits = [at(rung).limit for rung in LADDER]
    assert all(a.step[3] <= b.step[3] for a, b in pairwise(limits))


@pytest.mark.parametrize("rung", LADDER)
def test_halved_has_half_the_voxels_in_as_many_patches_and_says_why(rung):
    whole, half = at(rung), halved(at(rung), "being dear")
    for dims in (2, 3):
        assert 2 * half.limit.patch[dims] == whole.limit.patch[dims]
        assert half.limit.batch == whole.limit.batch
        assert 2 * half.limit.step[dims] == whole.limit.step[dims]
        assert half.limit.why(dims)[0].endswith("(fast preset, being dear)")
    assert half.features == whole.features
