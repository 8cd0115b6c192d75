"""Do the same with every case, and let none that fails stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from medseg.data.case import Case
from medseg.errors import InputError
from medseg.stages.reporter import Reporter

Result = TypeVar("Result")


def each_case(
    cases: Sequence[Case], act: Callable[[Case], Result], *, report: Reporter
) -> tuple[list[Result], list[InputError]]:
    """Return what ``act`` gave of the cases that went well, and why others did not."""
    done: list[Result] = []
    problems: list[InputError] = []
    with report.progress("predict") as advance:
        for number, case in enumerate(cases):
            advance(number, len(cases))
            try:
                done.append(act(case))
            except InputError as error:
                problems.append(error)
        advance(len(cases), len(cases))
    return done, problems
