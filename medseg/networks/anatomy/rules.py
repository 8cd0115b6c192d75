"""What each operator of PyTorch does to the axes of the image: the receptive field op by op."""

from __future__ import annotations

import re
from collections.abc import Callable

from medseg.networks.anatomy import placing
from medseg.networks.anatomy.axes import (
    Axes,
    Dimension,
    MixedError,
    is_plain,
    joined,
    length,
    plain,
    reshaped,
)
from medseg.networks.anatomy.operation import POOLING, Operation

Rule = Callable[[Operation], Axes | list[Axes]]


class UnknownError(MixedError):
    """There is no rule for an operator."""


def axes_after(operation: Operation) -> Axes | list[Axes]:
    """Return the axes of an operator's result, or of each of several.

    Raises:
        MixedError: each voxel of it sees the whole image.
        UnknownError: the operator is not known, and may do the same.
    """
    if operation.pointwise or operation.name.rstrip("_") in _ELEMENTWISE:
        return _elementwise(operation)
    rule = next((rule for pattern, rule in _RULES if pattern.fullmatch(operation.name)), None)
    if rule is None:
        raise UnknownError
    return rule(operation)


def _elementwise(op: Operation) -> Axes:
    shape = op.out.shape
    axes: list[Dimension] = [plain(1) for _ in shape]
    for tensor in op.tensors:
        own = [*(plain(1) for _ in range(len(shape) - tensor.ndim)), *op.of(tensor)]
        sizes = [1] * (len(shape) - tensor.ndim) + list(tensor.shape)
        axes = [
            # A single entry is repeated along the dimension; of an axis of one voxel it is all.
            joined(a, b, max(length(a), n))
            for a, b, n in zip(axes, own, sizes, strict=True)
        ]
    return tuple(axes)


def _same(op: Operation) -> Axes:
    return op.of(op.first)


def _chosen(op: Operation) -> Axes | list[Axes]:
    axes, at = op.of(op.first), op.given["dim"] % op.first.ndim
    if not is_plain(axes[at]):
        raise MixedError
    rest = (*axes[:at], *axes[at + 1 :])
    return [rest] * len(op.result) if op.name == "unbind" else rest


def _permuted(op: Operation) -> Axes:
    axes = op.of(op.first)
    return tuple(axes[at] for at in op.given["dims"])


def _swapped(op: Operation) -> Axes:
    axes = list(op.of(op.first))
    a, b = (op.given["dim0"], op.given["dim1"]) if op.name.startswith("transpose") else (0, -1)
    if len(axes) > 1:
        axes[a], axes[b] = axes[b], axes[a]
    return tuple(axes)


def _reshaped(op: Operation) -> Axes:
    return reshaped(op.of(op.first), op.out.shape)


def _unsqueezed(op: Operation) -> Axes:
    axes, at = op.of(op.first), op.given["dim"] % op.out.ndim
    return (*axes[:at], plain(1), *axes[at:])


def _repeated(op: Operation) -> Axes:
    axes = [plain(1)] * (op.out.ndim - op.first.ndim) + list(op.of(op.first))
    sizes = [1] * (op.out.ndim - op.first.ndim) + list(op.first.shape)
    found = []
    for dimension, size, new_size in zip(axes, sizes, op.out.shape, strict=True):
        if size != new_size and not is_plain(dimension):
            raise MixedError
        found.append(dimension if size == new_size else plain(new_size))
    return tuple(found)


def _together(op: Operation) -> Axes:
    """Join tensors along a dimension, or stack them along a new one."""
    stack = op.name == "stack"
    at = op.given["dim"] % op.out.ndim
    axes: list[Dimension] = [plain(1)] * op.out.ndim
    for tensor in op.given["tensors"]:
        if tensor.ndim != op.out.ndim - stack:  # cat passes over empty vectors
            continue
        own = list(op.of(tensor))
        if stack:
            own.insert(at, plain(1))
        if not is_plain(own[at]):
            raise MixedError
        own[at] = plain(1)
        axes = [joined(a, b, length(b)) for a, b in zip(axes, own, strict=True)]
    axes[at] = plain(op.out.shape[at])
    return tuple(axes)


def _reduced(op: Operation) -> Axes:
    axes, dims = op.of(op.first), op.given.get("dim")
    dims = [dims] if isinstance(dims, int) else list(dims or range(len(axes)))
    gone = {at % len(axes) for at in dims}
    if not all(is_plain(axes[at]) for at in gone):
        raise MixedError
    if op.given.get("keepdim"):
        return tuple(plain(1) if at in gone else a for at, a in enumerate(axes))
    return tuple(a for at, a in enumerate(axes) if at not in gone)


def _along(op: Operation) -> Axes:
    axes = op.of(op.first)
    if not is_plain(axes[op.given["dim"]]):
        raise MixedError
    return axes


def _mixed(op: Operation) -> Axes:
    raise MixedError


def _multiplied(op: Operation) -> Axes:
    """Multiply by a matrix that does not depend on the image: a layer of channels."""
    left, right = op.tensors[-2:]
    a, b = op.of(left), op.of(right)
    if id(left) in op.axes and id(right) in op.axes:
        raise MixedError
    if not (is_plain(a[-1]) and is_plain(b[-2])):
        raise MixedError
    batch = tuple(joined(x, y, length(x)) for x, y in zip(a[:-2], b[:-2], strict=True))
    return (*batch, a[-2], b[-1])


# Not all that go entry by entry are tagged so.
_ELEMENTWISE = {
    *("_to_copy", "alias", "contiguous", "copy", "detach", "dropout", "hardswish", "lift_fresh"),
    *("native_dropout", "_prelu_kernel", "clone", "fill", "masked_fill", "hardsigmoid", "relu6"),
    *("lift", "_to_dense", "zero"),
}
# Norms are not counted: an instance norm would show every voxel the whole patch.
_NORM = r"(_?native_|cudnn_|miopen_|_)?(batch|group|instance|layer|rms)_norm\w*|_fused_rms_norm"
_REDUCTION = "mean|sum|amax|amin|max|min|prod|var|std|var_mean|linalg_vector_norm|logsumexp"
_BY_NAME: dict[str, Rule] = {
    f"convolution|{POOLING}": placing.windowed,
    r"_?upsample_.*(?<!_aa)|max_unpool[23]d|pixel_shuffle": placing.interpolated,
    r"_?adaptive_(avg|max)_pool[123]d|pixel_unshuffle": placing.adaptive,
    r"(constant_pad_n|reflection_pad[123]|replication_pad[123])d": placing.padded,
    r"slice": placing.sliced,
    r"(unsafe_)?split(_with_sizes)?": placing.parted,
    _NORM: _same,
    r"select|unbind": _chosen,
    r"permute": _permuted,
    r"transpose_?|t_?": _swapped,
    r"view|_unsafe_view|_reshape_alias|squeeze_?": _reshaped,
    r"unsqueeze_?": _unsqueezed,
    r"expand|repeat": _repeated,
    r"cat|stack": _together,
    _REDUCTION: _reduced,
    r"_softmax|_log_softmax|cumsum": _along,
    r"mm|addmm|bmm|baddbmm": _multiplied,
    r"_?scaled_dot_product_.*|_fft_.*": _mixed,
}
_RULES = [(re.compile(pattern), rule) for pattern, rule in _BY_NAME.items()]
