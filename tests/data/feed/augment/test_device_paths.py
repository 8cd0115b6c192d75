"""What a GPU runs, held on a CPU against what a CPU runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.data.feed import Batch
from medseg.data.feed.augment import Affine, Compose, Elastic, GaussianNoise, default
from medseg.data.feed.augment.resample import _Native
from medseg.data.feed.augment.tiles import Tiles
from medseg.data.feed.augment.vote import Votes
from medseg.data.feed.augment.warp import accumulate, coordinates, fuse


@pytest.mark.parametrize("size", [(9, 12, 10), (3, 40, 5), (1, 7, 8), (33, 6, 6)])
def test_tiles_are_grid_sample(size):
    shape = (11, 8, 9)
    image = torch.randn(2, *size)
    matrix = Affine(rotation=40, p_rotation=1).make_params([1], (2, *shape))[0]
    field = Elastic(p=1, control_spacing=6, displacement=(2, 2)).make_params([1], (2, *shape))[0]
    tiles, native = Tiles(image), _Native(image)
    start = [(n - s) // 2 for n, s in zip(size, shape, strict=True)]
    warp = fuse([matrix, field])

    def read(reader):
        out = torch.empty(2, *shape)
        for slab, places in coordinates(warp, shape, size, start, image.device, units=reader.units):
            reader.sample(places, out[:, slab])
        return out

    torch.testing.assert_close(read(tiles), read(native), atol=2e-4, rtol=0)


def test_votes_in_full_are_votes_where_classes_differ():
    rng = np.random.default_rng(2)
    label = torch.from_numpy(rng.integers(0, 6, (7, 8, 9)).astype(np.uint8))
    places = [torch.from_numpy(rng.uniform(0, n + 1, 200).astype(np.float32)) for n in (7, 8, 9)]
    results = []
    for full in (False, True):
        votes = Votes(label)
        if full:
            votes.uniform = None
        out = torch.empty(200, dtype=torch.uint8)
        votes.sample(places, out)
        votes.finish()
        results.append(out)
    assert torch.equal(*results)
    assert len(results[0].unique()) > 3


def test_a_product_row_by_row_is_the_product():
    weights, rows = torch.randn(7, 5), torch.randn(5, 30)
    torch.testing.assert_close(accumulate(weights, rows), weights @ rows)


@pytest.mark.parametrize("shape", [(2, 12, 14, 10), (2, 6, 30, 28), (1, 20, 18)])
def test_nothing_is_read_back_from_the_device(shape):
    # A meta tensor has no values: whatever would wait for a GPU's raises an error here.
    image = torch.empty(24, *shape, device="meta")
    label = torch.empty(24, 1, *shape[1:], device="meta", dtype=torch.uint8)
    every = [t for t in default(shape[1:]) if not isinstance(t, GaussianNoise)]
    every[1:1] = [Elastic(p=0.5, displacement=(1, 2), control_spacing=6)]
    compose = Compose(every, masked=[0])
    out = compose(Batch(image, label, torch.arange(24), ["a"] * 24))
    assert out.image.shape == image.shape
    assert out.label.shape == label.shape
