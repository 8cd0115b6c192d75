"""torch.compile that a training survives: whatever fails in it, the network runs uncompiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from medseg.inference.memory import is_out_of_memory


def compile_or_not(
    network: nn.Module, say: Callable[[str], None], attempt: Callable[[], Any] | None = None
) -> bool:
    """Compile a network in place; say whether that worked so far.

    Most of what can fail does so at the first call, so that is watched, too: the network then goes
    on uncompiled and ``say`` is told once. Names of parameters stay, copies are uncompiled.

    Args:
        network: the network.
        say: told why it stays uncompiled.
        attempt: takes a forward and a backward pass. Without it, a backward pass that cannot be
            compiled ends the training: it is compiled where nobody can watch it.
    """
    try:
        network.compile()
        network._compiled_call_impl = _Guarded(network, network._compiled_call_impl, say)  # type: ignore[assignment]
        if attempt is not None:
            attempt()
    except Exception as error:
        say(_told(error))
        uncompile(network)
    return is_compiled(network)


def uncompile(network: nn.Module) -> None:
    """Run the network as it was written."""
    network._compiled_call_impl = None


@contextmanager
def uncompiled(network: nn.Module) -> Iterator[None]:
    """Run the network as it was written, for a while."""
    call = network._compiled_call_impl
    network._compiled_call_impl = None
    try:
        yield
    finally:
        network._compiled_call_impl = call


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
        except Exception as error:
            if is_out_of_memory(error):
                raise  # no fault of the compiler, and the plain call would need more
            uncompile(self.network)
            # If the network itself is at fault, this fails with the error that concerns the user.
            result = self.network(*args, **kwargs)
            self.say(_told(error))
            return result


def _told(error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"torch.compile does not work here, going on without it: {reason[:200]}"
