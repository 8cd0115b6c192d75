from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medseg.data.feed.augment.separable import stretch


@pytest.mark.parametrize(("padding", "mode"), [("zeros", "grid-constant"), ("border", "nearest")])
@pytest.mark.parametrize("step", [0.7, 1.3, -0.9])
def test_a_lattice_is_read_linearly_whatever_the_strides(step, padding, mode):
    whole = torch.randn(2, 15, 13, 12)
    source = whole[:, 2:11, 1:11, 3:10]
    # Begins and ends beyond the source.
    places = [(n - 1) / 2 + (np.arange(16) - 7.3) * step for n in source.shape[1:]]
    out = torch.empty(2, 16, 16, 16)
    stretch(source, places, out, padding=padding)
    lattice = np.stack(np.meshgrid(*places, indexing="ij"))
    for volume, ours in zip(source.numpy(), out.numpy(), strict=True):
        expected = ndimage.map_coordinates(volume, lattice, order=1, mode=mode)
        np.testing.assert_allclose(ours, expected, atol=2e-5)
