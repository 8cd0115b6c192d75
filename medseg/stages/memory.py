"""Room in memory for preprocessed cases, before they are made."""

from __future__ import annotations

from medseg.data.prepare.space import gigabytes
from medseg.errors import InputError
from medseg.machine import memory_available
from medseg.recipe import Recipe


def require_memory(recipe: Recipe, cases: int) -> None:
    """Refuse to keep more in memory than there is; ``auto`` keeps what is too much on disk.

    Args:
        recipe: where the cases are to live.
        cases: bytes of all preprocessed cases.

    Raises:
        InputError: ``data.cache`` is ``ram``, and they do not fit.
    """
    free = memory_available()
    if recipe.data.cache == "ram" and free is not None and cases > free:
        raise InputError(
            "data.cache is ram, but the preprocessed cases do not fit the memory",
            file=recipe.at("data", "cache"),
            expected=f"about {gigabytes(cases)}",
            found=f"{gigabytes(free)} that this process may still take",
            remedy="data.cache=auto, which leaves them on disk",
        )
