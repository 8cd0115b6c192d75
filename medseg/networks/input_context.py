"""Networks whose input is larger than their logits: by how much, and what lies in the middle.

Such a network says so by its attribute ``input_context``: voxels per axis that it reads on each
side of what it segments. The feed cuts patches with it, the task compares the logits with the
middle of the label, and the sliding window hands it around every window; beyond the image there are
zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F


def context_of(network: Any, *, spatial_dims: int) -> tuple[int, ...]:
    """Return the voxels per side by which a network's input exceeds its logits.

    Args:
        network: anything that can be called; a wrapper that holds it as ``module`` (averaged
            weights, data parallelism) is looked into.
        spatial_dims: 2 or 3, for the zeros of a network that says nothing.
    """
    held = getattr(network, "module", network)
    said = getattr(network, "input_context", getattr(held, "input_context", None))
    return (0,) * spatial_dims if said is None else tuple(said)


def with_context(x: Tensor, context: Sequence[int]) -> Tensor:
    """Surround ``(…, *S)`` with zeros: ``(…, *S + 2 * context)``."""
    if not any(context):
        return x
    return F.pad(x, [around for n in reversed(context) for around in (n, n)])


def without_context(x: Tensor, context: Sequence[int]) -> Tensor:
    """Return the middle of ``(…, *S + 2 * context)``: a view ``(…, *S)``."""
    sizes = x.shape[x.ndim - len(context) :]
    middle: Any = (..., *(slice(n, size - n) for n, size in zip(context, sizes, strict=True)))
    return x[middle]
