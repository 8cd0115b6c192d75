"""A loss at every resolution of the decoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medseg.errors import InputError


def downsample_nearest(target: Tensor, shape: Sequence[int]) -> Tensor:
    """Pick the voxel at the centre of each coarse voxel.

    Labels are never mixed, any dtype is kept.

    Args:
        target: ``(B, C, *S)``.
        shape: the coarse ``*S``.
    """
    for axis, (fine, coarse) in enumerate(zip(target.shape[2:], shape, strict=True), start=2):
        if fine != coarse:
            at = torch.arange(coarse, device=target.device)
            target = target.index_select(axis, (2 * at + 1) * fine // (2 * coarse))
    return target


def deep_supervision_weights(heads: int) -> tuple[float, ...]:
    """Return 1, 1/2, 1/4 … with the coarsest head left out, normalised (nnU-Net)."""
    weights = [0.5**i for i in range(heads)]
    if heads > 1:
        weights[-1] = 0.0
    return tuple(w / sum(weights) for w in weights)


def weights_of(heads: Sequence[Tensor]) -> tuple[float, ...]:
    """Return `deep_supervision_weights`, or equal ones for heads that all have one resolution.

    Heads of one resolution, as U-Net++ has them, are whole networks of different depth, and none
    of them sees a coarser target (Zhou et al., arXiv 1912.05074).
    """
    if len({head.shape[2:] for head in heads}) == 1:
        return (1 / len(heads),) * len(heads)
    return deep_supervision_weights(len(heads))


class DeepSupervisionLoss(nn.Module):
    """Weighted sum of one loss over the heads of a decoder; a plain tensor passes through.

    Args:
        loss: ``loss(logits, target)``, or ``loss(logits, target, valid)`` where some voxels take no
            part.
        weights: one per head, finest first; not negative; normalised to sum 1. ``None`` gives
            those of `weights_of`.
    """

    def __init__(self, loss: nn.Module, *, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if weights is not None and (min(weights, default=-1) < 0 or not sum(weights) > 0):
            raise InputError(
                "weights of deep supervision must not be negative, and one must be positive",
                found=str(list(weights)),
            )
        self.loss = loss
        self.weights = None if weights is None else tuple(w / sum(weights) for w in weights)

    def forward(
        self,
        logits: Tensor | Sequence[Tensor],
        target: Tensor,
        valid: Tensor | None = None,
    ) -> Tensor:
        """Return the scalar loss.

        Args:
            logits: ``(B, K, *S)``; or one such tensor per head, finest first, at falling
                resolutions; or heads stacked at full resolution ``(B, heads, K, *S)``, as
                `monai.networks.nets.DynUNet` returns those of its coarser stages, which therefore
                weigh less.
            target: whatever the wrapped loss takes at full resolution; it is brought to each
                head's resolution by its nearest voxel.
            valid: the voxels that take part, ``(B, 1, *S)`` or ``(B, *S)``, brought to each head's
                resolution likewise; ``None``: all.

        Raises:
            InputError: the number of heads is not that of the weights.
        """
        heads = _heads(logits, target)
        if len(heads) == 1:
            return self._of(heads[0], target, valid)
        stacked = isinstance(logits, Tensor)
        weights = self.weights or (
            deep_supervision_weights(len(heads)) if stacked else weights_of(heads)
        )
        if len(weights) != len(heads):
            raise InputError(
                "deep supervision needs one weight per head",
                expected=f"{len(heads)} weights",
                found=f"{len(weights)}",
            )
        if target.ndim < heads[0].ndim:
            target = target.unsqueeze(1)
        if valid is not None and valid.ndim < heads[0].ndim:
            valid = valid.unsqueeze(1)
        total = heads[0].new_zeros((), dtype=torch.float32)
        for head, weight in zip(heads, weights, strict=True):
            if weight > 0 or _every_parameter_needs_a_gradient():
                coarse = downsample_nearest(target, head.shape[2:])
                known = None if valid is None else downsample_nearest(valid, head.shape[2:])
                total = total + weight * self._of(head, coarse, known)
        return total

    def _of(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        # Losses of others need not know of voxels that take no part, as long as all do.
        return self.loss(logits, target) if valid is None else self.loss(logits, target, valid)


def _heads(logits: Tensor | Sequence[Tensor], target: Tensor) -> Sequence[Tensor]:
    if not isinstance(logits, Tensor):
        return logits
    extra = logits.ndim - target.ndim
    # (B, *S) indices have one axis less than plain (B, K, *S) logits, and so have (B, C, *S)
    # targets of stacked heads: the shape decides, and masks are never without channels.
    indices = not target.is_floating_point() and target.dtype != torch.bool
    plain = extra == 0 or (extra == 1 and indices and target.shape[1:] == logits.shape[2:])
    return [logits] if plain else logits.unbind(1)


def _every_parameter_needs_a_gradient() -> bool:
    # DistributedDataParallel waits for all of them; a head of weight 0 then takes part too.
    return torch.distributed.is_available() and torch.distributed.is_initialized()
