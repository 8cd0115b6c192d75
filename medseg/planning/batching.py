"""How many patches make a step, and whether Dice is taken over all of them at once."""

from __future__ import annotations

from typing import Literal

Configuration = Literal["3d_fullres", "3d_lowres", "2d"]

# A loss over fewer patches follows single patches.
MIN_BATCH = 2


def batch_size(room: float, share: float, *, covered: float) -> tuple[int, str | None]:
    """Return the patches of a step, and why unless it is that no more fit.

    Args:
        room: patches that fit.
        share: patches that cover as much of the data set as a batch may.
        covered: that share of the data set, 0 … 1.
    """
    fitting, sharing = round(room), round(share)
    size = min(fitting, sharing)
    if size < MIN_BATCH:
        return MIN_BATCH, "the smallest batch"
    return size, f"{100 * covered:g} % of the data set's voxels" if sharing < fitting else None


def batch_dice(configuration: Configuration, *, has_lowres: bool) -> tuple[bool, str]:
    """Tell whether Dice is summed over the batch before it is divided, and why (nnU-Net v2).

    A patch that shows little of a case often shows nothing of a structure, and a Dice of its own
    would be all or nothing: slices, and patches of volumes so large that they have a
    low-resolution stage. A patch of that stage itself shows most of the case.
    """
    if configuration == "2d":
        return True, "a slice or picture may lack a structure: one Dice for the batch"
    if configuration == "3d_fullres" and has_lowres:
        return True, "patches show little of a case: one Dice for the batch"
    return False, "a patch shows much of a case: a Dice for each"
