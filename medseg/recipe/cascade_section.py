"""The part of a recipe that says what an earlier stage finds first."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medseg.recipe.section import Millimetres, Section, Text

# First stages that `medseg run` trains itself.
OWN = ("lowres", "coarse")


class Cascade(Section):
    """A first stage, and how the network goes on from what it has found."""

    first: Text | None = Field(
        default=None,
        description="The first stage: lowres (the plan's 3d_lowres) and coarse (6 mm) are trained "
        "by medseg run, in the run's folder first; or the folder of a run that is trained; null: "
        "none.",
    )
    use: Literal["auto", "channels", "crop", "both"] = Field(
        default="auto",
        description="What becomes of its prediction: input channels, one per class; a crop to the "
        "box of its foreground; or both. auto: crop after coarse, else channels.",
    )
    spacing: Millimetres | tuple[Millimetres, ...] | None = Field(
        default=None,
        description="Of a first stage that is trained here, in mm, one number or one per axis; "
        "null: as planned for lowres, 6 for coarse.",
    )
    margin: Annotated[float, Field(ge=0)] = Field(
        default=20.0, description="With crop: mm that are kept on each side of the box."
    )
    out_of_fold: bool = Field(
        default=True,
        description="Learn from predictions of cases that the first stage has not seen, for which "
        "all of its folds are trained; false: of the same fold alone, whose training cases it "
        "predicts too well.",
    )
