"""Boxes as markups of 3D Slicer: one region of interest each, to be looked at and moved there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from medseg.atomic import write_text
from medseg.errors import InputError
from medseg.inference.detection.result import Detections

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)
_TO_LPS = np.array([-1.0, -1.0, 1.0])


def markups(found: Detections) -> dict[str, Any]:
    """Return the contents of a ``.mrk.json`` file; boxes lie along the image's axes, in LPS.

    Raises:
        InputError: the image is a picture, which has no place in Slicer's space.
    """
    if found.grid.ndim != 3:
        raise InputError("markups of 3D Slicer are for volumes", found=f"{found.grid.ndim} axes")
    world = found.to_world()
    directions = world.directions * _TO_LPS[:, None]
    # Slicer wants a right-handed frame, and a box is the same seen from either end of an axis.
    if np.linalg.det(directions) < 0:
        directions = directions * [1.0, 1.0, -1.0]
    rows = zip(found.names, found.scores, world.centres * _TO_LPS, world.sizes, strict=True)
    return {
        "@schema": SCHEMA,
        "markups": [
            {
                "type": "ROI",
                "coordinateSystem": "LPS",
                "coordinateUnits": "mm",
                "name": f"{name} {number}",
                "description": f"score {score:.3f}",
                "roiType": "Box",
                "center": centre.tolist(),
                "orientation": directions.ravel().tolist(),
                "size": size.tolist(),
                "insideOut": False,
                "locked": False,
                "fixedNumberOfControlPoints": False,
                "labelFormat": "%N",
                "controlPoints": [
                    {
                        "id": "1",
                        "label": f"{name} {number} ({score:.2f})",
                        "position": centre.tolist(),
                        "orientation": directions.ravel().tolist(),
                        "selected": True,
                        "locked": False,
                        "visibility": True,
                        "positionStatus": "defined",
                    }
                ],
            }
            for number, (name, score, centre, size) in enumerate(rows, start=1)
        ],
    }


def save_markups(found: Detections, path: Path | str) -> None:
    """Write `markups` as ``NAME.mrk.json``; raises as it does."""
    write_text(Path(path), json.dumps(markups(found), indent=1) + "\n")
