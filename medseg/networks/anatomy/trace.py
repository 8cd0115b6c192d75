"""Watch one forward pass of any network: its layers, their cost and their receptive fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop
from torch.utils.weak import WeakIdKeyDictionary

from medseg.networks.anatomy import rules
from medseg.networks.anatomy.axes import Axes, MixedError, fields, of_image
from medseg.networks.anatomy.layers import Layer, Node
from medseg.networks.anatomy.operation import Operation, changes_size, is_constant, window

# FlopCounterMode knows attention on every device but this one.
_FLOPS = {
    **flop_registry,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop,
}
_SYMBOLS = {"add": "+", "sub": "+", "mul": "×", "cat": "cat", "stack": "cat"}


@dataclass(frozen=True)
class Seen:
    """What is known of a tensor that depends on the image.

    Attributes:
        node: where in the graph it was made.
        axes: of the image; ``None`` where each entry sees all of it.
        whole: by what.
    """

    node: int
    axes: Axes | None
    whole: str = ""


class Trace(TorchDispatchMode):
    """Follows the image through every operator that runs; see `rules` for what each one does.

    Args:
        network: what will run; hooks say which layer is at work.
        image: its input ``(B, C, *S)``.
    """

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        super().__init__()
        self.network = network
        self.dims = image.ndim - 2
        self.layers: list[Layer] = []
        self.nodes = [Node(tuple(image.shape[1:]))]
        self._used: set[int] = set()
        self._seen = WeakIdKeyDictionary()
        self._seen[image] = Seen(0, of_image(image.shape))
        self._stack: list[tuple[str, nn.Module]] = []
        self._runs: dict[str, int] = {}
        self._counted: set[int] = set()

    def seen(self, tensor: Tensor) -> Seen | None:
        """Return what is known of a tensor; ``None`` if it does not depend on the image."""
        return self._seen.get(tensor)

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Listen to the modules while the network runs."""
        handles = []
        try:
            for name, module in self.network.named_modules():
                enter, leave = self._listeners(name)
                handles.append(module.register_forward_pre_hook(enter))
                handles.append(module.register_forward_hook(leave, always_call=True))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def add_rest(self) -> None:
        """Add the layers that did not run but have parameters."""
        for name, module in self.network.named_modules():
            fresh = self._own_parameters(module)
            if fresh:
                self.layers.append(Layer(name, type(module).__name__, parameters=_count(fresh)))

    def unused(self) -> int:
        """Count the parameters that no operator has read."""
        return _count([p for p in self.network.parameters() if id(p) not in self._used])

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operator and note what it does."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not isinstance(func, torch._ops.OpOverload):
            return out
        operation = Operation(func, args, kwargs, out)
        tensors = operation.tensors
        self._used.update(id(tensor) for tensor in tensors if isinstance(tensor, nn.Parameter))
        count = _FLOPS.get(func._overloadpacket)
        flops = int(count(*args, **kwargs, out_val=out)) if count else 0
        self._note(operation, [s for t in tensors if (s := self.seen(t))], flops)
        return out

    def _note(self, op: Operation, sources: list[Seen], flops: int) -> None:
        if is_constant(op) or not isinstance(op.out, Tensor):
            return
        result = self._result(op, sources) if sources else []
        shape = tuple(op.out.shape[1:])
        layer = flops > 0 or changes_size(op)
        if layer:
            self._add_layer(op, result[0] if result else None, flops)
        if not sources:
            return
        inputs = tuple(dict.fromkeys(source.node for source in sources))
        node = inputs[0]
        if layer or len(inputs) > 1:
            symbol = "" if layer else _SYMBOLS.get(op.name.rstrip("_"), "·")
            self.nodes.append(Node(shape, inputs, symbol, len(self.layers) - 1 if layer else None))
            node = len(self.nodes) - 1
        for out, seen in self._pairs(op, result):
            self._seen[out] = replace(seen, node=node)
        self._note_bases(op, node)

    def _pairs(self, op: Operation, result: list[Seen]) -> Iterator[tuple[Tensor, Seen]]:
        """Pair what an operator returns with what it sees: parts, or values and statistics."""
        if isinstance(op.result, list):
            yield from zip(op.result, result, strict=True)
        else:
            outs = op.result if isinstance(op.result, tuple) else (op.result,)
            for out in outs:
                if isinstance(out, Tensor) and out.shape == op.out.shape:
                    yield out, result[0]

    def _note_bases(self, op: Operation, node: int) -> None:
        """Note that the tensor behind a view changes where something is written into the view."""
        for view in op.written:
            base = view._base if isinstance(view, Tensor) else None
            if base is not None and base.numel() != view.numel():
                self._seen[base] = Seen(node, None, f"{op.name} in place in {self._place()}")

    def _result(self, op: Operation, sources: list[Seen]) -> list[Seen]:
        """Say what the results of an operator see, which ``sources`` are arguments of."""
        whole = next((source.whole for source in sources if source.axes is None), "")
        if not whole:
            for tensor in op.tensors:
                seen = self.seen(tensor)
                if seen is not None and seen.axes is not None:
                    op.axes[id(tensor)] = seen.axes
            try:
                found = rules.axes_after(op)
                return [Seen(0, axes) for axes in (found if isinstance(found, list) else [found])]
            except rules.UnknownError:
                whole = f"{op.name} in {self._place()}, which cannot be followed"
            except MixedError:
                whole = f"{op.name} in {self._place()}"
        return [Seen(0, None, whole)] * (len(op.result) if isinstance(op.result, list) else 1)

    def _place(self) -> str:
        return next((name for name, _ in reversed(self._stack) if name), "the network")

    def _listeners(self, name: str) -> tuple[Any, Any]:
        def enter(module: nn.Module, inputs: Any) -> None:
            self._runs[name] = self._runs.get(name, 0) + 1
            self._stack.append((name, module))

        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            self._stack.pop()
            output = output[0] if isinstance(output, list | tuple) and output else output
            if isinstance(output, Tensor) and (fresh := self._own_parameters(module)):
                self.layers.append(
                    Layer(
                        name,
                        type(module).__name__,
                        tuple(output.shape[1:]),
                        parameters=_count(fresh),
                        **self._view(self.seen(output)),
                    )
                )

        return enter, leave

    def _add_layer(self, op: Operation, seen: Seen | None, flops: int) -> None:
        name, module = self._stack[-1] if self._stack else ("", self.network)
        leaf = next(module.children(), None) is None
        kernel, stride, _, dilation = window(op) or (None,) * 4
        run = self._runs.get(name, 1)
        self.layers.append(
            Layer(
                name + (f"#{run}" if run > 1 else ""),
                type(module).__name__ if leaf else op.name,
                tuple(op.out.shape[1:]),
                kernel,
                stride,
                dilation,
                parameters=_count(self._own_parameters(module)),
                flops=flops,
                **self._view(seen),
            )
        )

    def _view(self, seen: Seen | None) -> dict[str, Any]:
        if seen is None or seen.axes is None:
            return {"field": None, "whole": seen.whole if seen else ""}
        return {"field": fields(seen.axes, self.dims)}

    def _own_parameters(self, module: nn.Module) -> list[nn.Parameter]:
        """Return the parameters of a module, without its children's, that were not counted yet."""
        fresh = {id(p): p for p in module.parameters(recurse=False) if id(p) not in self._counted}
        self._counted.update(fresh)
        return list(fresh.values())


def _count(parameters: Sequence[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)
