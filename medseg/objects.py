"""What is one object, where masks or boxes are given and boxes are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

# The class of an object that is seen too little of: it counts neither for a network nor against it.
IGNORED_OBJECT = -1

Source = Literal["components", "instances", "boxes"]


@dataclass(frozen=True)
class ObjectRule:
    """How a data set's annotations become objects.

    The classes of objects are those of its `LabelScheme.foreground`, in their order.

    Attributes:
        source: ``components``: every connected component of a class, or of a region, in a mask.
            ``instances``: every value of an instance map; `Case.instances` says its class.
            ``boxes``: what `Case.annotation` lists.
        connectivity: of components: how many axes neighbouring voxels may differ in, from 1
            (faces) on; ``None``: any.
        smallest: components and instances of fewer voxels are no objects.
        empty: whether an image without any object is a negative, or was forgotten (an error).
    """

    source: Source = "components"
    connectivity: int | None = None
    smallest: int = 1
    empty: Literal["negative", "error"] = "negative"

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers for JSON and checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> ObjectRule:
        """Rebuild from `to_dict`."""
        return cls(**state)
