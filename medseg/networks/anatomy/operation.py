"""One operator of PyTorch at work: its arguments by name, and what kind of operator it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from medseg.networks.anatomy.axes import Axes, plain

POOLING = r"(max|avg)_pool[123]d(_with_indices)?"
_POOLING = re.compile(POOLING)
_RESIZING = re.compile(r"_?upsample_.*|_?adaptive_.*|max_unpool.*")
_CONSTANT = re.compile(
    r"(zeros|ones|full|empty|rand|randn|randint)_like|new_(zeros|ones|full|empty)(_strided)?"
    r"|empty_strided|bernoulli"
)


class Operation:
    """One operator at work.

    Attributes:
        name: ``convolution``, ``max_pool3d_with_indices`` …
        given: its arguments by name.
        axes: of every tensor among them that depends on the image, by identity.
        written: arguments that it writes into in place.
        result: what it returns.
        out: that, or the first of several.
    """

    def __init__(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> None:
        schema = func._schema
        self.name = func._overloadpacket.__name__
        self.pointwise = torch.Tag.pointwise in func.tags
        self.given = {a.name: a.default_value for a in schema.arguments}
        self.given |= {a.name: value for a, value in zip(schema.arguments, args, strict=False)}
        self.given |= kwargs
        # Into these it writes in place.
        self.written = [
            self.given[a.name]
            for a in schema.arguments
            if a.alias_info is not None and a.alias_info.is_write
        ]
        self.result = out
        self.out: Tensor = out[0] if isinstance(out, list | tuple) else out
        self.axes: dict[int, Axes] = {}

    @property
    def first(self) -> Tensor:
        """The first argument: what most operators work on."""
        return next(iter(self.given.values()))

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor among the arguments."""
        return list(_tensors(self.given.values()))

    def of(self, tensor: Tensor) -> Axes:
        """Return the axes of an argument; one that does not depend on the image has none."""
        return self.axes.get(id(tensor)) or tuple(plain(size) for size in tensor.shape)


def is_constant(operation: Operation) -> bool:
    """Say whether only the shape of its arguments matters, as for ``zeros_like``."""
    return bool(_CONSTANT.fullmatch(operation.name))


def window(operation: Operation) -> tuple[tuple[int, ...], ...] | None:
    """Return kernel, stride, padding and dilation of what has them, else ``None``."""
    given = operation.given
    if operation.name == "convolution":
        dims = given["weight"].ndim - 2
        sizes = [tuple(given["weight"].shape[2:])]
        sizes += [_per_axis(given[key], dims) for key in ("stride", "padding", "dilation")]
        return tuple(sizes)
    if _POOLING.fullmatch(operation.name):
        dims = int(re.findall(r"[123]", operation.name)[0])
        kernel = _per_axis(given["kernel_size"], dims)
        rest = (given.get("stride") or kernel, given["padding"], given.get("dilation", 1))
        return (kernel, *(_per_axis(value, dims) for value in rest))
    return None


def changes_size(operation: Operation) -> bool:
    """Say whether an operator is a step up or down, or a convolution."""
    return window(operation) is not None or bool(_RESIZING.fullmatch(operation.name))


def _per_axis(value: Sequence[int] | int, dims: int) -> tuple[int, ...]:
    """Read one number for all axes, or one for each."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * dims if len(values) == 1 else values


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
