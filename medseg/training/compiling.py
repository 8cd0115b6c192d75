"""torch.compile that a training survives: whatever fails in it, the network runs uncompiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def compile_or_not(network: nn.Module, say: Callable[[str], None]) -> bool:
    """Compile a network in place; say whether that worked so far.

    Most of what can fail does so at the first call, so that is watched, too: the network then goes
    on uncompiled and ``say`` is told once. Names of parameters stay, copies are uncompiled.
    """
    try:
        network.compile()
    except Exception as error:
        say(_told(error))
        network._compiled_call_impl = None
        return False
    network._compiled_call_impl = _Guarded(network, network._compiled_call_impl, say)  # type: ignore[assignment]
    return True


def uncompile(network: nn.Module) -> None:
    """Run the network as it was written."""
    network._compiled_call_impl = None


def is_compiled(network: nn.Module) -> bool:
    """Say whether the network runs compiled (or will, at its first call)."""
    return network._compiled_call_impl is not None


class _Guarded:
    """A compiled call that gives way to the plain one at its first failure."""

    def __init__(self, network: nn.Module, call: Any, say: Callable[[str], None]) -> None:
        self.network, self.call, self.say = network, call, say

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.call(*args, **kwargs)
        except torch.OutOfMemoryError:
            raise  # no fault of the compiler, and the plain call would need more
        except Exception as error:
            uncompile(self.network)
            # If the network itself is at fault, this fails with the error that concerns the user.
            result = self.network(*args, **kwargs)
            self.say(_told(error))
            return result


def _told(error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"torch.compile does not work here, going on without it: {reason[:200]}"
