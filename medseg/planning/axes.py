"""The order of the axes where it matters which comes first: what is left of a transposition."""

from __future__ import annotations

from collections.abc import Sequence


def coarsest_first(spacing: Sequence[float]) -> tuple[int, ...]:
    """Return our axes in the order in which nnU-Net v2 holds them.

    nnU-Net reads a volume back to front (k, j, i) and transposes it so that its coarsest axis comes
    first. We leave arrays as the scanner's axes are (i, j, k) and give every number per axis, so
    ``nnunet[n] == ours[order[n]]``. Only two rules ask for the order: which of equally long axes a
    patch shortens (the last), and along which axis slices are stacked (the first).

    Args:
        spacing: mm per axis; of a volume in our order. Pictures have rows and columns in both.
    """
    axes = list(range(len(spacing)))
    if len(axes) == 2:
        return tuple(axes)
    axes.reverse()
    coarsest = max(axes, key=spacing.__getitem__)
    axes.remove(coarsest)
    return (coarsest, *axes)


def as_oriented(values: Sequence, orientation: str) -> tuple:
    """Bring values per axis from RAS to the axes of another ``orientation``.

    Args:
        values: one per axis of a volume in RAS order.
        orientation: codes such as ``SAR``; a direction (L or R) does not matter here.
    """
    pairs = ("RL", "AP", "SI")
    return tuple(values[next(i for i, p in enumerate(pairs) if c in p)] for c in orientation)
