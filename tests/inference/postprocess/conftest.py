import numpy as np
import pytest
from scipy import ndimage

from medseg.labels import LabelScheme

BRATS = LabelScheme(
    {"necrosis": 1, "oedema": 2, "enhancing": 4},
    {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)},
)
ORGANS = LabelScheme({"background": 0, "liver": 3, "spleen": 7})


def blobs(seed: int, shape, *, share: float = 0.3) -> np.ndarray:
    """A bool mask with components of many sizes and holes in them."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.2)
    return noise > np.quantile(noise, 1 - share)


@pytest.fixture
def random_mask():
    return blobs


@pytest.fixture
def brats():
    return BRATS


@pytest.fixture
def organs():
    return ORGANS
