"""Where the voxels of an array lie in the scanner's space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of voxels, in 2 or 3 dimensions.

    Attributes:
        shape: voxels per axis, ``(I, J, K)`` or ``(I, J)``.
        affine: ``(n + 1, n + 1)`` float64 matrix from voxel indices to millimetres in the RAS frame
            (NIfTI's convention; SimpleITK and DICOM count in LPS). A 2D picture without a physical
            size has the identity: one pixel is one millimetre.
    """

    shape: tuple[int, ...]
    affine: np.ndarray

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        affine = np.array(self.affine, dtype=np.float64)
        n = len(shape)
        if n not in (2, 3):
            raise ValueError(f"a grid has 2 or 3 axes, not {n}: shape {shape}")
        if affine.shape != (n + 1, n + 1):
            raise ValueError(f"a {n}D grid needs a {n + 1}x{n + 1} affine, got {affine.shape}")
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @classmethod
    def from_spacing(cls, shape: Sequence[int], spacing: Sequence[float] | float = 1.0) -> Grid:
        """Make an axis-aligned grid at the origin; ``spacing`` in mm."""
        n = len(shape)
        return cls(tuple(shape), np.diag([*np.broadcast_to(spacing, n).astype(float), 1.0]))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Grid)
            and self.shape == other.shape
            and np.array_equal(self.affine, other.affine)
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.affine.tobytes()))

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers for JSON; the floats survive exactly."""
        return {"shape": list(self.shape), "affine": self.affine.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Grid:
        """Rebuild from `to_dict`."""
        return cls(tuple(state["shape"]), np.array(state["affine"], dtype=np.float64))

    @property
    def ndim(self) -> int:
        """Number of spatial axes."""
        return len(self.shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Millimetres between neighbouring voxel centres, per axis."""
        return tuple(float(s) for s in np.linalg.norm(self.affine[:-1, :-1], axis=0))

    def reorient(self, axes: Sequence[int], flips: Sequence[bool]) -> Grid:
        """Return the grid of ``array.transpose(axes)`` with the flagged new axes then flipped."""
        n = self.ndim
        shape = tuple(self.shape[axis] for axis in axes)
        to_source = np.zeros((n + 1, n + 1))
        to_source[n, n] = 1.0
        for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
            to_source[old, new] = -1.0 if flip else 1.0
            to_source[old, n] = shape[new] - 1 if flip else 0.0
        return Grid(shape, self.affine @ to_source)

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Grid:
        """Return the grid of ``array[start:stop]`` (negative starts pad)."""
        affine = self.affine.copy()
        affine[:-1, -1] += affine[:-1, :-1] @ np.asarray(start, dtype=float)
        return Grid(tuple(int(b) - int(a) for a, b in zip(start, stop, strict=True)), affine)

    def resample(self, shape: Sequence[int]) -> Grid:
        """Return a grid of ``shape`` that fills the same box.

        The outer faces of the box stay where they are, so the first voxel's centre moves by half
        the difference of the spacings.
        """
        scale = np.asarray(self.shape, dtype=float) / np.asarray(shape, dtype=float)
        affine = self.affine.copy()
        affine[:-1, -1] += affine[:-1, :-1] @ ((scale - 1.0) / 2.0)
        affine[:-1, :-1] = affine[:-1, :-1] * scale
        return Grid(tuple(shape), affine)

    def shape_at(self, spacing: Sequence[float]) -> tuple[int, ...]:
        """Return the voxels per axis that this box has at ``spacing`` (mm), at least 1."""
        return tuple(
            max(1, round(n * old / new))
            for n, old, new in zip(self.shape, self.spacing, spacing, strict=True)
        )

    def mismatch(self, other: Grid, *, tolerance: float = 0.05) -> str | None:
        """Say in words how ``other`` differs from this grid, or ``None`` if they agree.

        Args:
            other: the grid to compare with.
            tolerance: how far any corner voxel may lie from its counterpart, as a fraction of the
                smallest spacing. Writers round affines to float32, so exact equality is too much.
        """
        if self.shape != other.shape:
            return f"shape {self.shape} against {other.shape}"
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape], indexing="ij"))
        corners = np.concatenate([corners.reshape(self.ndim, -1), np.ones((1, 2**self.ndim))])
        distance = np.linalg.norm(((self.affine - other.affine) @ corners)[:-1], axis=0).max()
        limit = tolerance * min(self.spacing)
        if not distance <= limit:
            return f"corners up to {distance:.3g} mm apart (tolerance {limit:.3g} mm)"
        return None
