"""V-Rand of masks of membranes: how well they part the neurons of an electron micrograph.

    python tests/benchmarks/em_rand.py runs/isbi_em/predictions data/isbi_em/label

The score of the ISBI 2012 challenge (Arganda-Carreras 2015, doi 10.3389/fnana.2015.00142): Rand's
F score over the pixels of the reference's cells, after thinning the predicted membranes. The
challenge takes the best of many thresholds on probabilities; masks have one, so this is the lower
figure.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def v_rand(membrane: NDArray[np.bool_], cells: NDArray[np.bool_]) -> float:
    """Score one section.

    Args:
        membrane: (H, W), predicted.
        cells: (H, W), the reference's, which must not touch each other.

    Returns:
        In [0, 1]; 1 where the predicted membranes part the cells as the reference does.
    """
    from skimage.measure import label
    from skimage.metrics import adapted_rand_error
    from skimage.segmentation import watershed

    # Cells grown until they meet leave no membrane: what the challenge calls thinning.
    thinned = watershed(membrane.astype(np.uint8), label(~membrane, connectivity=1))
    error, _, _ = adapted_rand_error(label(cells, connectivity=1), thinned, ignore_labels=(0,))
    return 1.0 - float(error)


def foreground_dice(membrane: NDArray[np.bool_], cells: NDArray[np.bool_]) -> float:
    """Return the Dice score of the membranes of one section, both (H, W)."""
    reference = ~cells
    both = int(membrane.sum() + reference.sum())
    return 2.0 * int((membrane & reference).sum()) / both if both else float("nan")


def main() -> None:
    """Print a line per section, and the means."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", type=Path, help="NAME.png: 0 is cell, the rest membrane")
    parser.add_argument("labels", type=Path, help="NAME.png: 0 is membrane, the rest cell")
    args = parser.parse_args()
    scores = []
    for file in sorted(args.predictions.glob("*.png")):
        membrane = np.asarray(Image.open(file)) > 0
        cells = np.asarray(Image.open(args.labels / file.name).convert("L")) > 0
        scores.append((v_rand(membrane, cells), foreground_dice(membrane, cells)))
        print(f"{file.stem:>12}  V-Rand {scores[-1][0]:.4f}  Dice {scores[-1][1]:.4f}")
    if not scores:
        parser.error(f"no PNG masks in {args.predictions}")
    rand, dice = np.mean(scores, axis=0)
    print(f"{'mean':>12}  V-Rand {rand:.4f}  Dice {dice:.4f}  of {len(scores)} sections")


if __name__ == "__main__":
    main()
