"""Find a loss that is not finite, without making a GPU wait at every step."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from medseg.errors import InputError

_MOST_PENDING = 64


@dataclass(frozen=True)
class _Pending:
    value: Tensor  # on the CPU once `ready`
    ready: Any  # an event, or None: at once
    cases: Sequence[str]
    step: int


class FiniteWatch:
    """Raises for a loss of NaN or infinity, naming the cases of its batch.

    On a CPU at once. On a GPU the loss is copied when the GPU gets to it, and looked at a few
    steps later; `settle` waits for all, and must come before weights are kept.
    """

    def __init__(self) -> None:
        self._pending: deque[_Pending] = deque()

    def watch(self, loss: Tensor, *, cases: Sequence[str], step: int) -> None:
        """Look at a loss, and at earlier ones that have come.

        Raises:
            InputError: one of them is not finite.
        """
        value, ready = self._copy(loss.detach().reshape(()))  # a loss of shape (1,) will do, too
        self._pending.append(_Pending(value, ready, cases, step))
        self._look(waiting=len(self._pending) > _MOST_PENDING)

    def settle(self) -> None:
        """Wait for what has not come yet.

        Raises:
            InputError: a loss is not finite.
        """
        while self._pending:
            self._look(waiting=True)

    def _copy(self, loss: Tensor) -> tuple[Tensor, Any]:
        if loss.device.type != "cuda":
            return loss, None
        value = torch.empty((), dtype=loss.dtype, pin_memory=True)
        value.copy_(loss, non_blocking=True)
        ready = torch.cuda.Event()
        ready.record(torch.cuda.current_stream(loss.device))
        return value, ready

    def _look(self, *, waiting: bool) -> None:
        while self._pending:
            first = self._pending[0]
            if first.ready is not None and not first.ready.query():
                if not waiting:
                    return
                first.ready.synchronize()
            waiting = False
            self._pending.popleft()
            found = float(first.value)
            if found != found or found in (float("inf"), float("-inf")):
                self._pending.clear()
                raise InputError(
                    f"the loss became {found} at step {first.step}",
                    expected="a finite number",
                    found=f"batch of the cases {', '.join(first.cases) or '(unnamed)'}",
                    remedy="look at these cases; lower optimizer.lr or trainer.gradient_clip; "
                    "trainer.precision=32 rules out overflow",
                )
