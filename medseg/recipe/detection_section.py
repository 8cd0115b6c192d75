"""The part of a recipe that says what is to be found, where ``task`` is detection."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medseg.recipe.section import Count, Section

Part = Annotated[float, Field(ge=0, le=1)]


class Detection(Section):
    """What is one object, and how it is found and counted."""

    objects: Literal["auto", "components", "instances", "boxes"] = Field(
        default="auto",
        description="Every connected component of a class in a mask, every value of a map that "
        "numbers objects, or boxes; auto: as the data set's layout says, else components.",
    )
    connectivity: Annotated[int, Field(ge=1, le=3)] | None = Field(
        default=None,
        description="Of components: how many axes neighbouring voxels may differ in, 1 is faces "
        "only; null: any.",
    )
    smallest: Count = Field(
        default=1, description="Components and instances of fewer voxels are no objects."
    )
    empty: Literal["negative", "error"] = Field(
        default="negative",
        description="An image without any object is a negative, or was forgotten: an error.",
    )
    min_visible: Part = Field(
        default=0.5,
        description="The part of an object that must lie in a patch for it to be learnt there; "
        "with less it counts neither way.",
    )
    anchors: Count | None = Field(
        default=None,
        description="Boxes of different shapes that are tried at each place; null: as many as help "
        "by the sizes of the objects.",
    )
    score: Part = Field(default=0.02, description="Boxes of a lower score are not kept.")
    overlap: Part | None = Field(
        default=None,
        description="Of two boxes of a class in one window that overlap by a larger IoU the surer "
        "is kept; boxes of several windows, mirror images and folds that do are one. null: by how "
        "much objects overlap in the data.",
    )
    hit: Literal["centre", "iou"] = Field(
        default="centre",
        description="When an object counts as found, for FROC: the box's centre lies in it (as in "
        "LUNA16), or their IoU is 0.1 or more.",
    )
