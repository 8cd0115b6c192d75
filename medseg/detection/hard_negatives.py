"""Which anchors the classification learns from: positives, and negatives that look like them."""

from __future__ import annotations

import torch
from torch import Tensor

from medseg.detection.atss import BACKGROUND


@torch.no_grad()
def sample(
    scores: Tensor,
    matched: Tensor,
    *,
    per_image: int = 32,
    positives: float = 1 / 3,
    pool: float = 20,
    at_least: int = 1,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw positive and negative anchors of one image; return two masks ``(M,)``.

    Positives are drawn evenly. For each of them (one where there is none) the share ``positives``
    says how many negatives there are. These are drawn evenly from ``pool`` times as many, those of
    the largest scores (Baumgartner et al., nnDetection, MICCAI 2021; so in MONAI). Ignored anchors
    are neither.

    Args:
        scores: ``(M,)``, the largest of an anchor's classes; logits will do.
        matched: ``(M,)``, see `atss.match`.
        per_image: anchors to draw at most, unless ``at_least`` asks for more.
        positives: their share, in ``(0, 1]``.
        pool: how many times more negatives than wanted are considered.
        at_least: negatives, whatever the share.
        generator: on the device of ``scores``; ``None``: torch's own.
    """
    positive = torch.nonzero(matched >= 0)[:, 0]
    negative = torch.nonzero(matched == BACKGROUND)[:, 0]
    num_positive = min(len(positive), int(per_image * positives))
    num_negative = max(int(max(1, num_positive) * (1 / positives - 1)), at_least)
    num_negative = min(len(negative), num_negative)
    considered = min(len(negative), int(num_negative * pool))
    hardest = negative[scores[negative].float().topk(considered).indices]
    return (
        _draw(positive, num_positive, len(matched), generator),
        _draw(hardest, num_negative, len(matched), generator),
    )


def _draw(numbers: Tensor, count: int, total: int, generator: torch.Generator | None) -> Tensor:
    order = torch.randperm(len(numbers), device=numbers.device, generator=generator)
    mask = torch.zeros(total, dtype=torch.bool, device=numbers.device)
    mask[numbers[order[:count]]] = True
    return mask
