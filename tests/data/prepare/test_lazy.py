import numpy as np

from medseg.data.prepare.entry import Arrays
from medseg.data.prepare.lazy import LazyCase


def test_a_case_that_another_thread_closes_is_given_all_the_same(tmp_path, monkeypatch):
    arrays = Arrays(np.zeros((1, 2, 2)), np.zeros((2, 2)), {})

    class Closing(list):
        """Closes a case at the moment when it is counted as open, as another thread may."""

        def append(self, case):
            case.close()

    case = LazyCase("c", tmp_path, None, mapped=Closing())
    monkeypatch.setattr(LazyCase, "_read", lambda self: arrays)
    assert case.image is arrays.image
