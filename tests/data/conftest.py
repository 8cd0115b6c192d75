from __future__ import annotations

import pytest

from tests.box_data import series


@pytest.fixture
def write_series():
    """Give a function that writes axial slices ``(I, J, K)`` as a folder of DICOM files."""
    return series
