from __future__ import annotations

import pytest

from medseg.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity


@pytest.fixture
def data_set():
    """Make the fingerprint of cases that are all alike."""

    def make(shape, spacing=(1.0, 1.0, 1.0), cases=50, channels=("MRI",), classes=2):
        stats = Intensity(1000, 0.0, 500.0, 100.0, 20.0, 10.0, 99.0, 400.0)
        some = (stats,) * len(channels)
        values = {"background": 0, **{f"class {i}": i for i in range(1, classes + 1)}}
        case = CaseFingerprint(
            id="case",
            shape=tuple(shape),
            spacing=tuple(spacing),
            orientation="RAS" if len(shape) == 3 else None,
            cropped_shape=tuple(shape),
            image_dtype="float32",
            label_dtype="uint8",
            foreground=some,
            nonzero=some,
            label_voxels=(100,) * (classes + 1),
        )
        return Fingerprint(tuple(channels), {"values": values}, (case,) * cases, some)

    return make
