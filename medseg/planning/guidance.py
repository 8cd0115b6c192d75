"""How a network uses what an earlier stage has found in the same image: its guide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from medseg.labels import LabelScheme

Use = Literal["channels", "crop", "both"]


@dataclass(frozen=True)
class Guidance:
    """What becomes of a guide, the label indices that an earlier stage gave each voxel.

    Attributes:
        use: ``channels``: one more input channel per class, 1 where the guide has it; ``crop``: the
            image is cut to the box of the guide's foreground; ``both``.
        classes: foreground classes of the guide.
        margin: mm that are kept on each side of the box.
    """

    use: Use
    classes: int
    margin: float = 20.0

    @property
    def crops(self) -> bool:
        """Whether images are cut to a box."""
        return self.use != "channels"

    @property
    def channels(self) -> int:
        """Channels that the network's input has beside the image's."""
        return 0 if self.use == "crop" else self.classes

    def masks(self, labels: LabelScheme) -> tuple[str, ...]:
        """Name the classes whose masks are channels, in order."""
        return tuple(labels.values)[1 : 1 + self.channels]

    def preparation(self) -> dict[str, Any]:
        """Return what of this decides how a case is prepared; part of the cache's key."""
        return {"margin": self.margin if self.crops else None, "kept": bool(self.channels)}
