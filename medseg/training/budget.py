"""Which budgets are too short, and how to say so."""

from __future__ import annotations

from medseg.errors import InputError

# The validation at the end may take this part of the time. Beyond it the user waits longer for
# scores than for the training.
LARGEST_SHARE = 0.5


def refuse_too_short(budget: float, validation: float, *, cases: int) -> None:
    """Refuse a budget that one validation would take more than half of; all in seconds.

    Raises:
        InputError: names the least budget that will do.
    """
    if validation <= LARGEST_SHARE * budget:
        return
    raise InputError(
        f"a training of {duration(budget)} is too short for one validation",
        expected=f"at least {duration(validation / LARGEST_SHARE, up=True)}: the validation at "
        "the end may take half of the time",
        found=f"validating {cases} case{'s' * (cases != 1)} once takes about "
        f"{duration(validation)}",
        remedy="allow more time; validate on fewer cases with trainer.validation_cases; or on "
        "none with data.fold=all",
    )


def duration(seconds: float, *, up: bool = False) -> str:
    """Write seconds as a recipe may: ``45s``, ``1m30s``, ``2h5m``; ``up``: a round number above."""
    if up:
        unit = 5 if seconds < 60 else 30 if seconds < 600 else 300
        seconds = unit * -(-seconds // unit)
    whole = max(1, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    if minutes:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    return f"{rest}s"
