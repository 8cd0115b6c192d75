"""From which overlap two boxes of a class show one object, from how objects lie in the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# What nnDetection takes for volumes, where objects hardly overlap; and where looks at one object
# are no longer told from objects side by side.
LEAST, MOST = 0.2, 0.6
# Of the objects so many may overlap another by more: their boxes are outliers, or drawn twice.
PERCENTILE = 99


def plan_overlap(overlaps: Sequence[float]) -> tuple[float, str]:
    """Return an IoU in ``[0.2, 0.6]``, and why.

    Args:
        overlaps: of each object the largest IoU with another of its class in the image.
    """
    found = float(np.percentile(overlaps, PERCENTILE)) if len(overlaps) else 0.0
    why = f"{PERCENTILE} % of the objects overlap others of their class by an IoU of at most"
    return round(min(max(found, LEAST), MOST), 2), f"{why} {found:.2g}"
