"""Cut what several boxes share: a watershed from the boxes' centres."""

from __future__ import annotations

import numpy as np

from medseg.geometry.ellipsoids import ellipsoid_distance


def split(mask: np.ndarray, corners: np.ndarray, *, heat: np.ndarray | None = None) -> np.ndarray:
    """Return which box each voxel of a connected mask goes to: int32 ``(*S)``, 1 + its number.

    Meyer's flooding (Beucher and Meyer 1993) of a landscape with a valley at every box's centre,
    from the voxels of the mask nearest to these. Without ``heat`` the landscape is the distance to
    the nearest centre in half extents of its box, so touching ellipsoids come apart exactly where
    they touch, however much they differ in size. Other than the nearest centre alone, flooding goes
    no way but through the mask, and every part is connected.

    SimpleITK's filter floods real heights. ``scipy.ndimage.watershed_ift`` does not do this: it
    takes whole numbers, and its paths cost their largest step between neighbours, so on a smooth
    landscape the large object swallows the small one.

    Args:
        mask: bool ``(*S)``, connected by corners, of 2 or 3 axes.
        corners: boxes ``(N, 2n)`` in voxel edges of the mask, best first. One that finds no voxel
            left to begin at gets none.
        heat: ``(*S)``, a map that is highest at centres, to flood its negative.
    """
    import SimpleITK as sitk

    seeds = np.zeros(mask.shape, dtype=np.uint32)
    land = np.full(mask.shape, np.inf)
    inside = np.flatnonzero(mask)
    for number, box in enumerate(corners, start=1):
        way = ellipsoid_distance(mask.shape, box)
        land = np.minimum(land, way)
        free = inside[seeds.flat[inside] == 0]
        if len(free):
            seeds.flat[free[way.flat[free].argmin()]] = number
    if heat is not None:
        land = -heat.astype(np.float64)
    # No way leads around the mask before all of it is flooded.
    land = np.where(mask, land, land[mask].max() + 1)
    flooded = sitk.MorphologicalWatershedFromMarkers(
        sitk.GetImageFromArray(land.astype(np.float32)),
        sitk.GetImageFromArray(seeds),
        markWatershedLine=False,
        fullyConnected=True,
    )
    return np.where(mask, sitk.GetArrayFromImage(flooded), 0).astype(np.int32)
