"""What to try, in order, when a planned step is too much for the device at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile

from medseg.planning.pooling import PerAxis

# Up to so many parts of a batch, and steps of a patch's axis, each is tried.
_EACH = 64


@dataclass(frozen=True)
class Load:
    """What a device is asked to take at once.

    Attributes:
        patch_size: voxels per axis.
        batch_size: patches in memory at once.
        accumulate: batches whose gradients make a step, so that a step sees about as many patches
            as were planned.
    """

    patch_size: PerAxis
    batch_size: int
    accumulate: int = 1


def loads(
    patch_size: Sequence[int],
    batch_size: int,
    *,
    step: Sequence[int],
    problem: Callable[[PerAxis], str | None] = lambda size: None,
    keep_patch: bool = False,
    keep_batch: bool = False,
    keep_accumulate: bool = False,
) -> Iterator[Load]:
    """Give smaller and smaller loads, the planned one first.

    The batch gives way before the patch: gradients of smaller batches add up to the planned one's,
    but nothing brings back the context that a smaller patch does not show. Then, at the smallest
    batch, the patch loses a step along the axis that is longest relative to the planned one.

    Args:
        patch_size: as planned, voxels per axis.
        batch_size: as planned.
        step: voxels by which an axis can shrink: what the network's strides divide.
        problem: says why the network cannot take a size.
        keep_patch: the user fixed the patch.
        keep_batch: the user fixed the batch.
        keep_accumulate: the user fixed the accumulation; then a smaller batch is a smaller step.
    """
    patch = tuple(patch_size)
    batches = [(batch_size, 1)] if keep_batch else _batches(batch_size)
    if keep_accumulate:
        batches = [(size, 1) for size, _ in batches]
    for size, accumulate in batches:
        yield Load(patch, size, accumulate)
    while not keep_patch:
        smaller = _shorter(patch, tuple(patch_size), step, problem)
        if smaller is None:
            return
        patch = smaller
        yield Load(patch, *batches[-1])


def _batches(planned: int) -> list[tuple[int, int]]:
    """Split a batch into ever more parts, each as even as whole patches allow.

    Of one that is far too large not every size is worth a look: then into twice as many each time.
    """
    few = range(1, min(planned, _EACH) + 1)
    many = takewhile(lambda parts: parts < 2 * planned, (_EACH << n for n in count(1)))
    sizes = dict.fromkeys(max(1, round(planned / parts)) for parts in (*few, *many))
    return [(size, max(1, round(planned / size))) for size in sizes]


def _shorter(
    size: PerAxis,
    planned: PerAxis,
    step: Sequence[int],
    problem: Callable[[PerAxis], str | None],
) -> PerAxis | None:
    # On ties the last axis, as the planner has it.
    for axis in sorted(range(len(size)), key=lambda a: (size[a] / planned[a], a), reverse=True):
        fewer = step[axis] * max(1, size[axis] // (_EACH * step[axis]))
        cut = tuple(n - fewer if a == axis else n for a, n in enumerate(size))
        if cut[axis] > 0 and problem(cut) is None:
            return cut
    return None
