"""NMS of many 3D boxes: ours beside MONAI's, in one run.

    python tests/benchmarks/suppression.py [--boxes 20000]

Boxes lie apart in a large volume, or crowd around few objects, as those of a network do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from monai.data.box_utils import non_max_suppression

from medseg.geometry.suppression import nms


def apart(count: int) -> torch.Tensor:
    """Draw boxes of 4 to 32 voxels in a volume of 512³."""
    lower = torch.rand(count, 3) * 512
    return torch.cat([lower, lower + 4 + torch.rand(count, 3) * 28], dim=1)


def crowded(count: int) -> torch.Tensor:
    """Draw boxes around 50 objects; none so far off that its corners swap."""
    lower, upper = (apart(50)[torch.randint(50, (count,))] + torch.randn(count, 6)).split(3, dim=1)
    return torch.cat([lower, torch.maximum(upper, lower + 1)], dim=1)


def seconds(call: Callable[[], object], *, runs: int) -> float:
    """Return the best of some runs."""
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def main() -> None:
    """Print a row per arrangement and threshold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=int, default=20_000)
    count = parser.parse_args().boxes
    torch.manual_seed(0)
    print(f"{count} boxes in 3D\n{'':<10}{'IoU':>5}{'kept':>8}{'medseg s':>10}{'MONAI s':>10}")
    for draw in (apart, crowded):
        boxes, scores = draw(count), torch.rand(count)
        for threshold in (0.1, 0.22, 0.5):
            kept = len(nms(boxes, scores, threshold=threshold))
            ours = seconds(lambda: nms(boxes, scores, threshold=threshold), runs=3)  # noqa: B023
            theirs = seconds(lambda: non_max_suppression(boxes, scores, threshold), runs=1)  # noqa: B023
            print(f"{draw.__name__:<10}{threshold:>5}{kept:>8}{ours:>10.2f}{theirs:>10.2f}")


if __name__ == "__main__":
    main()
