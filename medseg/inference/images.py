"""Images in memory, from NumPy, PyTorch, MONAI or SimpleITK: to a `Volume`, and results back."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medseg.data.case import Volume
from medseg.errors import InputError
from medseg.geometry import Grid


@dataclass(frozen=True)
class Frame:
    """What to assume about an array that does not say where it lies.

    Attributes:
        channels: how many the network takes.
        spacing: mm per axis of the plan; its length is the number of spatial axes.
        orientation: axis codes of the plan, or ``None``.
        names: of the channels, for messages.
    """

    channels: int
    spacing: tuple[float, ...]
    orientation: str | None = None
    names: tuple[str, ...] = ()

    def grid(self, shape: Sequence[int], spacing: Sequence[float] | float | None = None) -> Grid:
        """Return a grid at the origin, of the plan's orientation and, unless given, its spacing."""
        grid = Grid.from_spacing(shape, self.spacing if spacing is None else spacing)
        if self.orientation is None or grid.ndim == 2:
            return grid
        from nibabel.orientations import axcodes2ornt

        affine = np.zeros((4, 4))
        affine[3, 3] = 1.0
        for axis, (world, sign) in enumerate(axcodes2ornt(tuple(self.orientation))):
            affine[int(world), axis] = sign * grid.spacing[axis]
        return Grid(grid.shape, affine)


def receive(
    image: Any,
    frame: Frame,
    *,
    spacing: Sequence[float] | float | None = None,
    affine: np.ndarray | None = None,
) -> tuple[Volume, Callable[[np.ndarray], Any]]:
    """Return the image as a `Volume`, and a function that turns a result into the image's kind.

    Args:
        image: ``(C, *S)``, or ``(*S)`` of one channel: a NumPy array, a torch tensor, a MONAI
            MetaTensor (RAS, or LPS where its metadata say so); or a SimpleITK image, whose vector
            components or fourth dimension are channels and, in 2D, whose rows are the first axis,
            as in picture files.
        frame: what is assumed where the image says nothing.
        spacing: mm per axis, for arrays and plain tensors.
        affine: voxel to mm in RAS, for arrays and plain tensors; excludes ``spacing``.

    Returns:
        The volume, and a function from ``(*S)`` or ``(K, *S)`` to the kind of ``image``: an array,
        a tensor, a MetaTensor ``(1 or K, *S)`` or a SimpleITK image.

    Raises:
        InputError: another type, number of axes or channels; voxels that are not finite numbers; a
            spacing or affine that does not fit.
    """
    if _is(image, "SimpleITK", "Image"):
        _only_arrays(spacing, affine, "a SimpleITK image")
        return _from_sitk(image, frame)
    if _is(image, "monai.data.meta_tensor", "MetaTensor"):
        _only_arrays(spacing, affine, "a MetaTensor")
        return _from_metatensor(image, frame)
    if isinstance(image, torch.Tensor):
        volume = _from_array(image.detach().cpu().numpy(), frame, spacing, affine)
        return volume, lambda result: torch.from_numpy(result).to(image.device)
    if isinstance(image, np.ndarray):
        return _from_array(image, frame, spacing, affine), lambda result: result
    raise InputError(
        "this is not an image",
        expected="a NumPy array, a torch or MONAI tensor, a SimpleITK image, or a path",
        found=type(image).__name__,
    )


def _from_array(
    array: np.ndarray,
    frame: Frame,
    spacing: Sequence[float] | float | None,
    affine: np.ndarray | None,
) -> Volume:
    data = _channels_first(array, frame)
    shape = data.shape[1:]
    if affine is not None and spacing is not None:
        raise InputError("spacing and affine exclude each other", remedy="give the affine alone")
    if affine is not None:
        return Volume(data, Grid(shape, _fit_affine(affine, len(shape))))
    if spacing is not None:
        mm = np.atleast_1d(np.asarray(spacing, dtype=float))
        if mm.shape not in ((1,), (len(shape),)) or not (np.isfinite(mm) & (mm > 0)).all():
            raise InputError(
                "the spacing does not fit the image",
                expected=f"{len(shape)} positive numbers in mm",
                found=str(spacing),
            )
    return Volume(data, frame.grid(shape, spacing))


def _from_metatensor(image: Any, frame: Frame) -> tuple[Volume, Callable[[np.ndarray], Any]]:
    data = _channels_first(image.detach().cpu().numpy(), frame)
    n = data.ndim - 1
    affine = _fit_affine(np.asarray(image.affine.cpu(), dtype=float), n)
    if image.meta.get("space") == "LPS":
        affine[:2] *= -1

    def back(result: np.ndarray) -> Any:
        tensor = torch.from_numpy(result if result.ndim > n else result[None])
        return type(image)(tensor.to(image.device), meta=copy.deepcopy(image.meta))

    return Volume(data, Grid(data.shape[1:], affine)), back


def _from_sitk(image: Any, frame: Frame) -> tuple[Volume, Callable[[np.ndarray], Any]]:
    import SimpleITK as sitk

    from medseg.data.prepare.itk import grid_of

    n = len(frame.spacing)
    stacked = image.GetDimension() == n + 1
    like = image[(*[slice(None)] * n, 0)] if stacked else image
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = np.moveaxis(array, -1, 0)
    elif not stacked:
        array = array[None]
    data = _channels_first(_turned(array), frame)
    grid = grid_of(like)
    if n == 2:
        grid = Grid.from_spacing(grid.shape[::-1], grid.spacing[::-1])

    def back(result: np.ndarray) -> Any:
        vector = result.ndim > n
        turned = _turned(result if vector else result[None])
        turned = np.moveaxis(turned, 0, -1) if vector else turned[0]
        out = sitk.GetImageFromArray(np.ascontiguousarray(turned), isVector=vector)
        out.CopyInformation(like)
        return out

    return Volume(data, grid), back


def _turned(array: np.ndarray) -> np.ndarray:
    """Turn ``(C, K, J, I)`` into ``(C, I, J, K)`` or back; rows of a 2D picture stay first."""
    return array.transpose(0, 3, 2, 1) if array.ndim == 4 else array


def _channels_first(array: np.ndarray, frame: Frame) -> np.ndarray:
    """Check ``(C, *S)`` or ``(*S)`` and return float32 ``(C, *S)``."""
    n, channels = len(frame.spacing), frame.channels
    axes = "(I, J)" if n == 2 else "(I, J, K)"
    if array.ndim not in (n, n + 1) or 0 in array.shape:
        raise InputError(
            f"the network takes {n}D images",
            expected=f"an array {axes} or (C, {axes[1:]}",
            found=f"shape {array.shape}",
        )
    data = array if array.ndim == n + 1 else array[None]
    if len(data) != channels:
        named = f" ({', '.join(frame.names)})" if frame.names else ""
        last = array.ndim == n + 1 and array.shape[-1] == channels
        raise InputError(
            "the image has another number of channels than the network takes",
            expected=f"{channels}{named}, as the first axis",
            found=f"{len(data)} in shape {array.shape}",
            remedy="move the channels first: np.moveaxis(image, -1, 0)" if last else None,
        )
    if data.dtype.kind not in "biuf":
        raise InputError("voxels must be real numbers", found=str(data.dtype))
    data = data.astype(np.float32)
    if not np.isfinite(data).all():
        raise InputError(
            "the image holds voxels that are not finite numbers",
            found=f"{int((~np.isfinite(data)).sum())} NaN or infinite",
            remedy="replace them first, e.g. with np.nan_to_num",
        )
    return data


def _fit_affine(affine: np.ndarray, n: int) -> np.ndarray:
    """Return an affine for ``n`` axes; a 2D image may carry a 4x4 one, as MONAI's do."""
    affine = np.array(affine, dtype=float)
    if n == 2 and affine.shape == (4, 4):
        affine = affine[np.ix_([0, 1, 3], [0, 1, 3])]
    fits = affine.shape == (n + 1, n + 1)
    if not fits or not np.isfinite(affine).all() or np.linalg.det(affine[:n, :n]) == 0:
        raise InputError(
            "the affine does not fit the image",
            expected=f"an invertible {n + 1}x{n + 1} matrix from voxels to mm",
            found=f"shape {affine.shape}"
            if affine.shape != (n + 1, n + 1)
            else str(affine.tolist()),
        )
    return affine


def _only_arrays(spacing: Any, affine: Any, kind: str) -> None:
    if spacing is not None or affine is not None:
        raise InputError(f"{kind} brings its own spacing and affine", remedy="leave them out")


def _is(image: Any, module: str, name: str) -> bool:
    """Say whether ``image`` is of a class of a library that is slow to import."""
    home = sys.modules.get(module)
    return home is not None and isinstance(image, getattr(home, name))
