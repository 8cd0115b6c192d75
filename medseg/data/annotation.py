"""Objects of a case as its files tell of them, before its image is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes, from_spheres

Frame = Literal["voxels", "spheres", "slices"]


@dataclass(frozen=True)
class Annotation:
    """Boxes or spheres that were drawn in one image; without any the image is known to be empty.

    Plain tuples, so that it travels to other processes and names what was made of it.

    Attributes:
        frame: what ``objects`` count in. ``voxels``: corners ``(lo…, hi…)`` in voxel edges of the
            image as it is read, see `medseg.geometry.boxes`. ``spheres``: centre in mm, RAS, and
            diameter. ``slices``: ``(i0, j0, z0, i1, j1, z1)``, voxel edges within axial slices, and
            where the centres of the first and the last slice lie in mm, RAS.
        objects: the numbers of each.
        classes: what each is: an index into the data set's foreground classes.
        file: where they were written, for messages.
        ignored: like ``objects``, what is neither an object nor background (a crowd, a finding that
            readers disagree about): it counts in no score.
        shape: of the image that they were drawn in, as ``file`` says (rows, columns); ``None``: it
            does not say.
    """

    frame: Frame
    objects: tuple[tuple[float, ...], ...] = ()
    classes: tuple[int, ...] = ()
    file: Path | None = None
    ignored: tuple[tuple[float, ...], ...] = ()
    shape: tuple[int, ...] | None = field(default=None, repr=False)

    def boxes(self, grid: Grid) -> Boxes:
        """Return the objects as boxes on the image's grid; they may reach beyond it.

        Raises:
            InputError: they have another number of axes than the image, were drawn in one of
                another shape, or tell of axial slices where the image has none.
        """
        self._require_shape(grid)
        return Boxes(self._corners(self.objects, grid), np.array(self.classes, dtype=np.int64))

    def ignored_boxes(self, grid: Grid) -> Boxes:
        """Return what is ignored as boxes of class 0 on the image's grid; raises as `boxes`."""
        return Boxes(self._corners(self.ignored, grid))

    def _require_shape(self, grid: Grid) -> None:
        if self.shape is None or self.shape == grid.shape:
            return
        turned = self.shape == grid.shape[::-1]
        raise InputError(
            "the objects were drawn in an image of another size",
            file=self.file,
            expected=f"{_size(grid.shape)} pixels (rows x columns), as the image has",
            found=_size(self.shape),
            remedy="the image is turned, by its EXIF orientation perhaps: draw in it as it is "
            "shown, or store it as it was drawn in"
            if turned
            else "draw in the image as it is, or name the right image; or correct what the file "
            "says of its size",
        )

    def _corners(self, objects: tuple[tuple[float, ...], ...], grid: Grid) -> np.ndarray:
        n = grid.ndim
        width = {"voxels": 2 * n, "spheres": n + 1, "slices": 6}[self.frame]
        odd = next((numbers for numbers in objects if len(numbers) != width), None)
        if odd is not None or (self.frame == "slices" and n != 3):
            raise InputError(
                "the objects have another number of axes than the image",
                file=self.file,
                expected=f"{width} numbers ({self.frame}) for an image of {n} axes",
                found=f"{width if odd is None else len(odd)}",
                remedy="boxes in pictures have two axes, in volumes three (in a box list zmin and "
                "zmax, or slice): complete them, or name the right image",
            )
        numbers = np.array(objects, dtype=np.float64).reshape(-1, width)
        if self.frame == "voxels":
            return numbers
        if self.frame == "slices":
            return self._of_slices(numbers, grid)
        return from_spheres(numbers[:, :n], numbers[:, n], grid)

    def _of_slices(self, numbers: np.ndarray, grid: Grid) -> np.ndarray:
        """Number the slices by where they lie: their centres at k, from edge k to k + 1."""
        *in_plane, step = grid.affine[2, :3]
        if np.abs(in_plane).max() > 1e-3 * abs(step):
            raise InputError(
                "the objects were drawn in axial slices, but the image has none",
                file=self.file,
                expected="a third axis whose steps alone lead from head to feet",
                found=f"z = {np.array2string(grid.affine[2], precision=3)} · (i, j, k, 1)",
            )
        # Positions are written with few digits; an edge belongs to a voxel, not beside it.
        ends = np.round((numbers[:, [2, 5]] - grid.affine[2, 3]) / step, 2)
        corners = numbers.copy()
        corners[:, 2], corners[:, 5] = ends.min(axis=1), ends.max(axis=1) + 1
        return corners


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
