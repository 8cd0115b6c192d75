"""What every loss here is: a weighted sum of functions of the same probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medseg.errors import InputError
from medseg.losses.comparison import Comparison, Term
from medseg.losses.targets import class_weight_tensor


class WeightedSum(nn.Module):
    """Weighted sum of terms, from logits.

    Args:
        terms: pairs of a weight and a function from a `Comparison` to a scalar; terms of weight 0
            are not computed.
        regions: the target is masks of regions that may overlap, instead of class indices.
        class_weights: one per output, background first; what they weigh is the terms' business.

    Raises:
        InputError: a weight is negative, all are zero, or class weights are impossible.
    """

    def __init__(
        self,
        *terms: tuple[float, Term],
        regions: bool = False,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        weights = [weight for weight, _ in terms]
        if min(weights) < 0 or not any(weights):
            raise InputError(
                "the weights of a loss's terms must not be negative, and one must be positive",
                found=str(weights),
            )
        self.terms = tuple((weight, term) for weight, term in terms if weight)
        self.regions = regions
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weight_tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return the scalar loss, at least float32.

        Args:
            logits: ``(B, K, *S)``.
            target: class indices ``(B, 1, *S)`` or ``(B, *S)``; with ``regions`` masks
                ``(B, K, *S)``.
            valid: the voxels that take part, ``(B, 1, *S)`` or ``(B, *S)``; ``None``: all. The
                target may hold anything elsewhere. Where none takes part, the loss is 0 with zero
                gradients.

        Raises:
            InputError: the shapes do not belong together.
        """
        seen = Comparison(
            logits,
            target,
            valid=valid,
            regions=self.regions,
            class_weights=self.class_weights,
        )
        return self.total([term(seen) for _, term in self.terms])

    def total(self, values: Sequence[Tensor]) -> Tensor:
        """Add up the values of the terms."""
        total = self.terms[0][0] * values[0]
        for (weight, _), value in zip(self.terms[1:], values[1:], strict=True):
            total = total + weight * value
        return total
