"""A first stage that misses a whole structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from medseg.data.feed.augment.draws import probability
from medseg.data.feed.augment.transform import IntensityTransform


class Drop(NamedTuple):
    """The class that loses a component, and which one: 0 … 1 through the list of them."""

    channel: int
    place: float


class DropComponent(IntensityTransform[list[Drop]]):
    """Take one connected component out of masks of classes.

    Probabilities are nnU-Net's (version 2,
    ``RemoveRandomConnectedComponentFromOneHotEncodingTransform``). Voxels that touch by a corner
    are connected.

    Args:
        p: probability that a sample is changed.
        p_class: probability of each class of such a sample.
        largest: a component that fills this part of the patch, or more, stays.
    """

    def __init__(self, *, p: float = 0.2, p_class: float = 0.5, largest: float = 0.15) -> None:
        self.p = probability("p", p)
        self.p_class = probability("p_class", p_class)
        self.largest = probability("largest", largest)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> list[Drop] | None:
        """Draw the classes of masks ``(K, *S)``, and a place for each."""
        if rng.random() >= self.p:
            return None
        chosen = np.flatnonzero(rng.random(shape[0]) < self.p_class)
        return [Drop(int(c), float(rng.random())) for c in chosen] or None

    def change(self, image: Tensor, params: list[Drop]) -> None:
        """Change masks ``(K, *S)`` of zeros and ones in place."""
        for channel, place in params:
            gone = component((image[channel] > 0.5).cpu().numpy(), place, largest=self.largest)
            if gone is not None:
                image[channel].masked_fill_(torch.from_numpy(gone).to(image.device), 0)


def component(mask: np.ndarray, place: float, *, largest: float) -> np.ndarray | None:
    """Pick one component of bool ``(*S)`` that is smaller than a part ``largest`` of the whole.

    Args:
        mask: of one class.
        place: 0 … 1, evenly over the components that are small enough, in scan order.
        largest: see above.

    Returns:
        Its voxels, bool ``(*S)``; ``None`` where no component is small enough.
    """
    from scipy.ndimage import label

    labelled, _ = label(mask, structure=np.ones((3,) * mask.ndim))
    sizes = np.bincount(labelled.reshape(-1))[1:]
    small = np.flatnonzero(sizes < largest * mask.size) + 1
    if not len(small):
        return None
    return labelled == small[min(int(place * len(small)), len(small) - 1)]
