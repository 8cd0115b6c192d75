"""What every part of a recipe is, and the kinds of values that its keys take."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[^\x00]*$")]
Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Millimetres = Annotated[float, Field(gt=0)]
PerAxis = tuple[Count, ...]
PerStage = tuple[Count | PerAxis, ...]


class Section(BaseModel):
    """A mapping with fixed keys that cannot change once it is read."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )

    def given(self) -> dict[str, Any]:
        """Return the values that are not null, as plain containers."""
        return self.model_dump(mode="json", exclude_none=True)
