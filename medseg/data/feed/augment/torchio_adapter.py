"""TorchIO transforms as per-sample transforms of the loader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medseg.data.feed.augment.guard import checked, private_randomness
from medseg.data.feed.augment.transform import LoaderTransform
from medseg.data.feed.batch import Sample
from medseg.errors import InputError


class TorchioTransform(LoaderTransform):
    """Apply a TorchIO transform to samples: a subject of a ScalarImage and a LabelMap.

    Args:
        transform: an instance from ``torchio.transforms``.
        name: what messages call it; ``None``: its class.
        spacing: mm per axis, for transforms that work in millimetres; ``None``: 1 mm.
    """

    def __init__(
        self, transform: Any, *, name: str | None = None, spacing: Sequence[float] | None = None
    ) -> None:
        self.transform = transform
        self.spacing = None if spacing is None else tuple(float(s) for s in spacing)
        self._name = name or f"torchio.{type(transform).__name__}"

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._name

    def __call__(self, sample: Sample, *, seed: int) -> Sample:
        """Apply to one sample, with every random choice decided by ``seed``."""
        import torchio as tio

        flat = sample.image.ndim == 3
        spacing = self.spacing or (1.0,) * (sample.image.ndim - 1)
        affine = np.diag([*spacing, 1.0, 1.0] if flat else [*spacing, 1.0])

        def deep(tensor: Any) -> Any:
            return tensor[..., None].clone() if flat else tensor.clone()

        image = tio.ScalarImage(tensor=deep(sample.image), affine=affine)
        images: dict[str, Any] = {"image": image}
        if sample.label is not None:
            images["label"] = tio.LabelMap(tensor=deep(sample.label), affine=affine)
        with private_randomness(seed):
            result = self.transform(tio.Subject(**images))
        out = {key: result[key].data for key in images}
        if flat:
            out = {key: data[..., 0] if data.shape[-1] == 1 else data for key, data in out.items()}
        return checked(sample, out["image"], out.get("label"), name=self.name)


def wire(arguments: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """Check the arguments of a TorchIO class.

    Raises:
        InputError: the label is to be interpolated.
    """
    mode = arguments.get("label_interpolation", "nearest")
    if mode != "nearest":
        raise InputError(
            f"{name}: labels are never interpolated",
            expected="label_interpolation nearest",
            found=str(mode),
        )
    return dict(arguments)
