"""Cross-entropy over the classes of each voxel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medseg.losses.targets import (
    check_weight_count,
    class_weight_tensor,
    full_precision,
    index_target,
)


def cross_entropy(
    log_probabilities: Tensor, target: Tensor, *, class_weights: Tensor | None = None
) -> Tensor:
    """Return ``-log p`` of each voxel's class, averaged over all voxels of the batch.

    Args:
        log_probabilities: ``(B, K, *S)``, from `torch.log_softmax`.
        target: class indices ``(B, *S)`` or ``(B, 1, *S)``.
        class_weights: ``(K,)``; the average over voxels is weighted by their class's weight, as in
            `torch.nn.functional.cross_entropy`. A batch whose voxels all have weight 0 gives 0
            (PyTorch gives NaN).

    Raises:
        InputError: the shapes do not belong together.
    """
    log_probabilities = full_precision(log_probabilities)
    check_weight_count(class_weights, log_probabilities.shape[1])
    index = index_target(log_probabilities, target)
    # gather, not nll_loss: its backward is deterministic on CUDA.
    loss = -log_probabilities.gather(1, index)
    if class_weights is None:
        return loss.mean()
    weights = class_weights.to(loss)[index]
    return (loss * weights).sum() / weights.sum().clamp_min(torch.finfo(loss.dtype).tiny)


class CrossEntropyLoss(nn.Module):
    """Cross-entropy of exclusive classes, from logits.

    Args:
        class_weights: one per class, background first; weigh the average over voxels.
    """

    def __init__(self, *, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weight_tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits ``(B, K, *S)`` and class indices."""
        log_probabilities = torch.log_softmax(full_precision(logits), dim=1)
        return cross_entropy(log_probabilities, target, class_weights=self.class_weights)
