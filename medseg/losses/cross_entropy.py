"""Cross-entropy over the classes of each voxel, and over the two answers for each region."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from medseg.losses.averages import mean_over_voxels
from medseg.losses.comparison import Comparison, Term, of_voxels
from medseg.losses.weighted_sum import WeightedSum


def cross_entropy(
    log_probabilities: Tensor, target: Tensor, *, class_weights: Tensor | None = None
) -> Tensor:
    """Return ``-log p`` of each voxel's class, averaged over all voxels of the batch.

    Args:
        log_probabilities: ``(B, K, *S)``, or logits, whose softmax is taken.
        target: class indices ``(B, *S)`` or ``(B, 1, *S)``.
        class_weights: ``(K,)``; the average over voxels is weighted by their class's weight, as in
            `torch.nn.functional.cross_entropy`. A batch whose voxels all have weight 0 gives 0
            (PyTorch gives NaN).

    Raises:
        InputError: the shapes do not belong together.
    """
    return CE(Comparison(log_probabilities, target, class_weights=class_weights))


def binary_cross_entropy(
    logits: Tensor, target: Tensor, *, class_weights: Tensor | None = None
) -> Tensor:
    """Return the binary cross-entropy of each voxel and region, averaged over both.

    Args:
        logits: ``(B, R, *S)``.
        target: masks ``(B, R, *S)``, bool or soft values 0 … 1.
        class_weights: ``(R,)``; the average over regions is weighted by them.

    Raises:
        InputError: the shapes do not belong together.
    """
    return CE(Comparison(logits, target, regions=True, class_weights=class_weights))


# Cross-entropy as a term of a `WeightedSum`: of classes or of regions, as that has it.
CE: Term = partial(of_voxels, function=mean_over_voxels)


class CrossEntropyLoss(WeightedSum):
    """Cross-entropy of exclusive classes.

    Args:
        class_weights: one per class, background first; weigh the average over voxels.
    """

    def __init__(self, *, class_weights: Sequence[float] | None = None) -> None:
        super().__init__((1.0, CE), class_weights=class_weights)


class BinaryCrossEntropyLoss(WeightedSum):
    """Binary cross-entropy of overlapping regions, a sigmoid each.

    Args:
        class_weights: one per region; weigh the average over regions.
    """

    def __init__(self, *, class_weights: Sequence[float] | None = None) -> None:
        super().__init__((1.0, CE), class_weights=class_weights, regions=True)
