from __future__ import annotations

import numpy as np

from medseg.metrics.known_mean import known_mean


def test_what_is_not_known_is_no_part_of_the_mean():
    scores = np.array([[0.2, np.nan, 0.6], [np.nan, np.nan, 0.5]])
    assert np.allclose(known_mean(scores, axis=1), [0.4, 0.5])
    assert np.allclose(known_mean(scores), [0.2, np.nan, 0.55], equal_nan=True)


def test_of_nothing_known_there_is_no_mean():
    assert np.isnan(known_mean([])) and np.isnan(known_mean([np.nan, np.nan]))
