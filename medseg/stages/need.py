"""One thing that a training needs, and whether this machine has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medseg.errors import InputError


@dataclass(frozen=True)
class Need:
    """One thing that a training needs.

    Attributes:
        name: what.
        need: how much.
        there: how much there is; empty where nothing sets a limit.
        fits: whether it is enough.
        remedy: the setting that mends it, if not.
    """

    name: str
    need: str
    there: str = ""
    fits: bool = True
    remedy: str | None = None

    @property
    def verdict(self) -> str:
        """Say it in a word."""
        return "" if not self.there else "fits" if self.fits else "does not fit"


def problems(needs: Sequence[Need]) -> list[InputError]:
    """Return what does not fit, each with its remedy."""
    return [
        InputError(
            f"{need.name}: does not fit", expected=need.need, found=need.there, remedy=need.remedy
        )
        for need in needs
        if not need.fits
    ]


def to_json(needs: Sequence[Need]) -> list[dict[str, Any]]:
    """Return plain containers."""
    return [asdict(need) for need in needs]
