"""One shape for what networks return: a list of logits, the finest first."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from medseg.errors import InputError


def as_heads(output: Any, *, spatial_dims: int | None = None) -> list[Tensor]:
    """Turn a network's output into a list of logits, main head first.

    Args:
        output: logits ``(B, K, *S)``; a list or tuple of such, the main one first (deep
            supervision); or heads stacked on axis 1, ``(B, heads, K, *S)``, as monai.DynUNet gives.
        spatial_dims: 2 or 3. ``None`` takes a tensor of 5 axes for 3D logits; only stacked heads in
            2D need the number, for they have 5 axes too.

    Returns:
        Tensors ``(B, K, *S_i)``.

    Raises:
        InputError: the output is something else, a mapping or a vector of class scores.
    """
    if isinstance(output, Tensor):
        plain = (4, 5) if spatial_dims is None else (spatial_dims + 2,)
        if output.ndim in plain:
            return [output]
        if output.ndim == max(plain) + 1:
            return list(output.unbind(1))
    elif isinstance(output, list | tuple) and output:
        heads = list(output)
        if all(isinstance(head, Tensor) for head in heads):
            axes = {head.ndim for head in heads}
            wanted = {4, 5} if spatial_dims is None else {spatial_dims + 2}
            if len(axes) == 1 and axes <= wanted:
                return heads
    raise InputError(
        "the network does not return segmentation logits",
        expected="(B, K, *S), or a list of such tensors, the finest first",
        found=_describe(output),
        remedy="choose a segmentation network",
    )


def finest(output: Any, *, spatial_dims: int | None = None) -> Tensor:
    """Return the logits ``(B, K, *S)`` of the main head; see `as_heads`."""
    return as_heads(output, spatial_dims=spatial_dims)[0]


def _describe(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    if isinstance(output, list | tuple):
        return f"a {type(output).__name__} of ({', '.join(_describe(item) for item in output)})"
    if isinstance(output, dict):
        return f"a mapping with the keys {sorted(map(str, output))}"
    return f"a {type(output).__name__}"
