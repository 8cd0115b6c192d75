"""A network's outputs beside their target, in the forms that losses ask for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from medseg.losses.targets import (
    check_weight_count,
    class_masks,
    full_precision,
    index_target,
    region_target,
    voxel_mask,
)


class Comparison:
    """Outputs and target of one batch; each form is computed once, when it is first asked for.

    Everything is at least float32: sums over a volume overflow in half precision. A voxel that
    takes no part has probability 0, no mask, entropy 0 and weight 0, so that sums over the volume
    pass it by, and no gradient reaches it.

    Args:
        logits: ``(B, K, *S)``.
        target: class indices ``(B, 1, *S)`` or ``(B, *S)``; with ``regions`` masks ``(B, K, *S)``,
            bool or soft values 0 … 1.
        valid: the voxels that take part, ``(B, 1, *S)`` or ``(B, *S)``; ``None``: all.
        regions: the outputs may overlap (a sigmoid each) instead of excluding each other (softmax).
        class_weights: ``(K,)``.

    Raises:
        InputError: the shapes do not belong together; partly when a form is asked for.
    """

    def __init__(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        valid: Tensor | None = None,
        regions: bool = False,
        class_weights: Tensor | None = None,
    ) -> None:
        check_weight_count(class_weights, logits.shape[1])
        self.logits = full_precision(logits)
        self.target = region_target(self.logits, target) if regions else target
        self.valid = voxel_mask(logits, valid)
        self.regions = regions
        self.class_weights = class_weights

    @cached_property
    def log_probabilities(self) -> Tensor:
        """Logarithms of the softmax ``(B, K, *S)`` of exclusive classes."""
        return torch.log_softmax(self.logits, dim=1)

    @cached_property
    def probabilities(self) -> Tensor:
        """Softmax, or one sigmoid per region, ``(B, K, *S)``."""
        p = self.logits.sigmoid() if self.regions else self.log_probabilities.exp()
        return p if self.valid is None else p.masked_fill(~self.valid, 0.0)

    @cached_property
    def masks(self) -> Tensor:
        """What is true of each output, ``(B, K, *S)``: bool, or float where it is soft."""
        masks = class_masks(self.logits, self.target)
        return masks if self.valid is None else masks.masked_fill(~self.valid, 0)

    @cached_property
    def entropy(self) -> Tensor:
        """Cross-entropy of each voxel, ``-log p`` of what is true.

        ``(B, 1, *S)`` of exclusive classes; ``(B, R, *S)`` of regions, binary.
        """
        if self.regions:
            entropy = functional.binary_cross_entropy_with_logits(
                self.logits, self.target, reduction="none"
            )
        else:
            # gather, not nll_loss: its backward is deterministic on CUDA.
            entropy = -self.log_probabilities.gather(1, self._index)
        return entropy if self.valid is None else entropy.masked_fill(~self.valid, 0.0)

    @cached_property
    def voxel_weights(self) -> Tensor | None:
        """Weight of each entry of `entropy`, of a shape that broadcasts to its; or ``None``."""
        valid = None if self.valid is None else self.valid.to(self.logits)
        if self.class_weights is None:
            return valid
        weights = self.class_weights.to(self.logits)
        if self.regions:
            weights = weights.view(1, -1, *[1] * (self.logits.ndim - 2))
        else:
            weights = weights[self._index]
        return weights if valid is None else weights * valid

    @cached_property
    def _index(self) -> Tensor:
        index = index_target(self.logits, self.target)
        # What stands at a voxel that takes no part need not be a class.
        return index if self.valid is None else index.masked_fill(~self.valid, 0)


Term = Callable[[Comparison], Tensor]


def of_masks(
    seen: Comparison,
    function: Callable[..., Tensor],
    *,
    include_background: bool = False,
    **options: Any,
) -> Tensor:
    """Apply a loss of probabilities and masks; of regions none is a background."""
    return function(
        seen.probabilities,
        seen.masks,
        include_background=include_background or seen.regions,
        class_weights=seen.class_weights,
        **options,
    )


def of_voxels(seen: Comparison, function: Callable[..., Tensor], **options: Any) -> Tensor:
    """Apply a loss of the entropies of the voxels."""
    return function(seen.entropy, seen.voxel_weights, **options)
