"""Room in memory for preprocessed cases, before they are made."""

from __future__ import annotations

from medseg.data.prepare.space import gigabytes
from medseg.errors import InputError
from medseg.machine import memory_available, room_for
from medseg.recipe import Recipe


def bytes_in_memory(recipe: Recipe, cases: int, *, on_gpu: bool, processes: int = 1) -> int:
    """Foretell the bytes of memory that preprocessed cases will fill during a training.

    Args:
        recipe: where the cases are to live.
        cases: bytes of all preprocessed cases.
        on_gpu: the training runs on a GPU that can hold cases.
        processes: of the training on this machine; each holds the cases.
    """
    asked, free = recipe.data.cache, memory_available()
    if asked == "auto":
        held = free is not None and room_for(cases, free // processes)
    else:
        held = asked == "ram" or (asked == "device" and not on_gpu)
    return cases * processes if held else 0


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
