"""The part of a recipe that starts from weights trained before."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from medseg.recipe.section import Count, Section, Text

_FROM = Field(
    description="Where the weights come from: a run folder, a fold's folder or a checkpoint of "
    "medseg, a MONAI bundle's folder, or a file of weights (.pt, .pth, .safetensors)."
)
# `from` is a word of Python's own, so that no class can name a field so.
_fields: Any = {"from": (Text, _FROM)}
_WithSource: Any = create_model("_WithSource", __base__=Section, **_fields)


class Transfer(_WithSource):
    """Fine-tuning: the weights to start from, and how much of the network is trained."""

    regime: Literal["small", "medium", "large"] = Field(
        default="large",
        description="small trains the head alone, medium the last stages and the head, large "
        "everything.",
    )
    stages: Count | None = Field(
        default=None,
        description="Of regime medium, how many stages are trained; null: a third, rounded up.",
    )
    lr_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="Each stage towards the input learns at the next one's rate times this.",
    )
    inherit: Literal["network", "plan", "nothing"] = Field(
        default="network",
        description="What the recipe leaves open and the weights decide: network takes the "
        "network with its arguments, features, strides and kernels from the weights' training; "
        "plan also spacing, orientation, crop, normalisation and patch_size.",
    )

    @property
    def source(self) -> str:
        """The key ``from``."""
        return getattr(self, "from")
