"""What the process that prepared a training tells those that carry it out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Orders:
    """One training of a fold, whose plan, cache and ``device.yaml`` lie in the run folder.

    Attributes:
        fold: which.
        train: ids of the cases to train on.
        val: ids of those held out.
        resume_from: checkpoint to go on from, or ``None``.
        limit: seconds or steps of the whole training, where it was extended.
    """

    fold: int | Literal["all"]
    train: list[str]
    val: list[str]
    resume_from: str | None = None
    limit: float | None = None

    def to_json(self) -> str:
        """Write them down."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Orders:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))
