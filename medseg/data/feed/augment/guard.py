"""What keeps foreign per-sample transforms reproducible and labels whole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from medseg.data.feed.batch import Sample
from medseg.errors import InputError


@contextmanager
def private_randomness(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch (CPU), and restore them afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    # Not torch.manual_seed: that would reach for every GPU as well.
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def checked(before: Sample, image: object, label: object, *, name: str) -> Sample:
    """Take over what a foreign transform returned for a sample.

    Raises:
        InputError: the image changed its shape, or the label holds values it did not hold before.
    """
    new_image = _plain(image).to(torch.float32)
    if new_image.shape != before.image.shape:
        raise InputError(
            f"{name} changes the shape of a sample; the samples of a batch must stay equal",
            expected=str(tuple(before.image.shape)),
            found=str(tuple(new_image.shape)),
            remedy="leave the cropping, padding and resampling to the plan",
        )
    if before.label is None or label is None:
        return before._replace(image=new_image.contiguous())
    new_label = _plain(label)
    if new_label.shape != before.label.shape:
        raise InputError(
            f"{name} changes the shape of the label",
            expected=str(tuple(before.label.shape)),
            found=str(tuple(new_label.shape)),
        )
    index = new_label.to(torch.uint8)
    # Zero is what comes in from outside the image.
    allowed = torch.cat([before.label.unique(), torch.zeros(1, dtype=torch.uint8)])
    whole = torch.equal(index.to(new_label.dtype), new_label)
    if not whole or not torch.isin(index, allowed).all():
        raise InputError(
            f"{name} makes label values that were not there",
            expected=f"values {sorted(set(allowed.tolist()))}",
            found=f"also {_strange(new_label, allowed)}",
            remedy="give it mode nearest for the label, or let it change the image alone",
        )
    return before._replace(image=new_image.contiguous(), label=index.contiguous())


def _plain(array: object) -> torch.Tensor:
    if isinstance(array, torch.Tensor):
        # MONAI returns a subclass that drags its metadata along.
        return array.detach().as_subclass(torch.Tensor)
    return torch.from_numpy(np.ascontiguousarray(array))


def _strange(label: torch.Tensor, allowed: torch.Tensor) -> list[float]:
    values = label.unique()
    return values[~torch.isin(values, allowed.to(values.dtype))][:5].tolist()
