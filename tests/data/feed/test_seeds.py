from __future__ import annotations

import numpy as np

from medseg.data.feed.seeds import generator, mix, streams


def test_a_generator_follows_from_its_seed_alone():
    first = generator(5).random(100)
    generator(6).random(3)
    np.testing.assert_array_equal(generator(5).random(100), first)


def test_generators_of_neighbouring_seeds_are_even_and_independent():
    drawn = np.stack([generator(mix(seed, 3)).random(4) for seed in range(5000)])
    assert np.abs(drawn.mean(axis=0) - 0.5).max() < 0.02
    assert np.abs(drawn.std(axis=0) - 12**-0.5).max() < 0.02
    beside = np.corrcoef(np.hstack([drawn[:-1], drawn[1:]]).T)
    assert np.abs(beside - np.eye(8)).max() < 0.06


def test_streams_count_occurrences_and_not_positions():
    assert streams(["a", "b", "a"])[0::2] == streams(["b", "a", "a"])[1:]
    assert len(set(streams(["a", "a", "b"]))) == 3
