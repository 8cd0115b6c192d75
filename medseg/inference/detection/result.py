"""What was found in one image, and the files that say it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medseg.atomic import write_text
from medseg.errors import InputError
from medseg.geometry import Grid
from medseg.geometry.boxes import Boxes, WorldBoxes, to_coco


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects that were found in an image.

    Attributes:
        boxes: in voxel edges of ``grid`` (see `medseg.geometry.boxes`), with scores, best first.
        grid: of the image.
        classes: names, by the numbers in ``boxes.classes``.
    """

    boxes: Boxes
    grid: Grid
    classes: Sequence[str]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def scores(self) -> np.ndarray:
        """How sure each is, ``(N,)`` in ``[0, 1]``."""
        scores = self.boxes.scores
        return np.ones(len(self.boxes)) if scores is None else scores

    @property
    def names(self) -> list[str]:
        """The class of each."""
        return [self.classes[number] for number in self.boxes.classes]

    def at_least(self, score: float) -> Detections:
        """Keep those that are at least this sure."""
        return Detections(self.boxes[self.scores >= score], self.grid, self.classes)

    def in_order_of(self, classes: Sequence[str]) -> Detections:
        """Number the classes anew, by names among which all of its own are."""
        table = np.array([list(classes).index(name) for name in self.classes], dtype=np.int64)
        boxes = replace(self.boxes, classes=table[self.boxes.classes])
        return Detections(boxes, self.grid, tuple(classes))

    def to_world(self) -> WorldBoxes:
        """Say where they are in the scanner's space, mm, RAS."""
        return self.boxes.to_world(self.grid)

    def to_dict(self, *, pixels: bool = False) -> dict[str, Any]:
        """Return plain containers for JSON: each object in voxels and in mm, with its name.

        Args:
            pixels: say also where objects are in a picture, whose first axis is the row: x, y,
                width and height, counted from the outer edge of the first pixel (COCO).

        Raises:
            InputError: there are no pixels in a volume.
        """
        if pixels and self.grid.ndim != 2:
            raise InputError("pixels are of pictures", found=f"{self.grid.ndim} axes")
        world = self.to_world()
        objects: list[dict[str, Any]] = [
            {
                "class": name,
                "score": float(score),
                "voxels": {"lower": lower.tolist(), "upper": upper.tolist()},
                "world": {"centre": centre.tolist(), "size": size.tolist()},
            }
            for name, score, lower, upper, centre, size in zip(
                self.names,
                self.scores,
                self.boxes.lower,
                self.boxes.upper,
                world.centres,
                world.sizes,
                strict=True,
            )
        ]
        frames = {
            "voxels": "edges: voxel i spans [i, i + 1); axes as in the file",
            "world": "mm, RAS; sizes along directions",
        }
        if pixels:
            frames["voxels"] = "edges: pixel i spans [i, i + 1); first the row, then the column"
            frames["pixels"] = "edges, from the upper left corner: x to the right, y down"
            for one, box in zip(objects, to_coco(self.boxes.corners).tolist(), strict=True):
                one["pixels"] = dict(zip(("x", "y", "width", "height"), box, strict=True))
        return {
            "frames": frames,
            "directions": world.directions.tolist(),
            "grid": self.grid.to_dict(),
            "classes": list(self.classes),
            "objects": objects,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Detections:
        """Rebuild from `to_dict`; the frame in voxels counts."""
        grid, classes = Grid.from_dict(state["grid"]), tuple(state["classes"])
        objects = state["objects"]
        corners = [[*one["voxels"]["lower"], *one["voxels"]["upper"]] for one in objects]
        boxes = Boxes(
            np.array(corners, dtype=np.float64).reshape(-1, 2 * grid.ndim),
            np.array([classes.index(one["class"]) for one in objects], dtype=np.int64),
            np.array([one["score"] for one in objects], dtype=np.float64),
        )
        return cls(boxes, grid, classes)

    def save(self, path: Path | str, *, pixels: bool = False) -> None:
        """Write `to_dict` as JSON, for `read_boxes`; raises as `to_dict` does."""
        write_text(Path(path), json.dumps(self.to_dict(pixels=pixels), indent=1) + "\n")
