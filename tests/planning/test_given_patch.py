import random
import re
from itertools import product

import pytest

from medseg.errors import InputError
from medseg.networks.needs import needs
from medseg.planning.given_patch import given_patch
from medseg.planning.patch import Poolable
from medseg.planning.planner import plan

# Networks, and what a recipe would set of them.
NETWORKS = {
    "unet": {},
    "monai.SegResNet": {},
    "monai.SwinUNETR": {},
    "monai.UNETR": {},
    "monai.BasicUNet": {},
    "monai.AHNet": {},
    "monai.UNet": {},
}
SPACINGS = {
    "isotropic": (1.0, 1.0, 1.0),
    "anisotropic": (0.6, 0.6, 4.0),
    "coronal": (0.9, 4.0, 0.9),
    "picture": (1.0, 1.0),
}


def said(error):
    """Read the nearest sizes out of a message."""
    listed = re.search(r"nearest: (.*)", str(error)).group(1)
    return [[int(n) for n in re.findall(r"\d+", size)] for size in re.findall(r"\[.*?\]", listed)]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("max_pools", [None, 3])
def test_sizes_that_a_refusal_names_are_taken(network, spacing, max_pools):
    mm = SPACINGS[spacing]
    wanted = needs(network, NETWORKS[network], spatial_dims=len(mm))
    poolable = Poolable(mm, max_pools=max_pools, needs=wanted)
    draw, refused = random.Random(0), 0
    for _ in range(60):
        size = tuple(draw.randint(5, 300) for _ in mm)
        try:
            assert given_patch(size, poolable).size == size
        except InputError as error:
            refused += 1
            assert said(error), error
            for near in said(error):
                assert given_patch(tuple(near), poolable).size == tuple(near)
                assert wanted.problem(near) is None
    assert refused


def test_nothing_that_fits_lies_between_the_size_and_the_larger_one():
    poolable = Poolable((1.0, 1.0))
    with pytest.raises(InputError) as caught:
        given_patch((60, 90), poolable)
    smaller, larger = said(caught.value)
    for size in product(range(60, larger[0] + 1), range(90, larger[1] + 1)):
        if list(size) != larger:
            with pytest.raises(InputError):
                given_patch(size, poolable)
    assert smaller[0] <= 60 and smaller[1] <= 90


@pytest.mark.parametrize("preset", ["standard", "fast", "resenc_m"])
def test_every_preset_refuses_with_the_same_words(data_set, preset):
    with pytest.raises(InputError, match=r"cannot halve \[40, 60, 40\] that often") as caught:
        plan(data_set((36, 50, 35)), preset=preset, overrides={"patch_size": [40, 60, 40]})
    assert said(caught.value) == [[40, 56, 40], [40, 64, 40]]
