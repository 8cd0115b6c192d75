"""Fit the weights of the last layers to other classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medseg.training.transfer.naming import Mapping, by_name


def output_mapping(
    names: Sequence[str] | None, theirs: Sequence[str] | None, *, count: int, their_count: int
) -> list[int | None]:
    """Map classes: by name where both sides have names; else in order if they are as many.

    Args:
        names: of the network's classes; ``None``: unknown.
        theirs: of the file's.
        count: how many the network has. Names that are not as many count as unknown.
        their_count: how many the file has.
    """
    if len(names or ()) == count and len(theirs or ()) == their_count:
        return by_name(names or (), theirs or ())
    return list(range(count)) if count == their_count else [None] * count


def adapt_outputs(
    values: Tensor, fresh: Tensor, *, axes: Sequence[int], mapping: Mapping
) -> Tensor:
    """Carry known classes over into freshly initialised values; the others stay as they are there.

    Args:
        values: the file's.
        fresh: the network's; differs in ``axes`` at most.
        axes: along which classes lie.
        mapping: see `output_mapping`.
    """
    known = [(own, place) for own, place in enumerate(mapping) if place is not None]
    own = torch.tensor([pair[0] for pair in known], dtype=torch.long, device=fresh.device)
    theirs = torch.tensor([pair[1] for pair in known], dtype=torch.long, device=values.device)
    for axis in axes:
        values = values.index_select(axis, theirs)
    return _placed(fresh, values.to(fresh), axes, own)


def _placed(fresh: Tensor, values: Tensor, axes: Sequence[int], own: Tensor) -> Tensor:
    if not axes:
        return values
    inner = _placed(fresh.index_select(axes[0], own), values, axes[1:], own)
    return fresh.index_copy(axes[0], own, inner)
