"""Fit the weights of the first and the last layers to other channels and classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Mapping = Sequence[int | None]
"""For each channel of the network the file's channel that it is, or ``None``: it has none."""


def by_name(
    names: Sequence[str] | None, theirs: Sequence[str] | None, *, count: int, their_count: int
) -> list[int | None] | None:
    """Map channels by name, whatever the case of letters.

    Args:
        names: of the network's channels; ``None``: unknown.
        theirs: of the file's.
        count: how many the network has. Names that are not as many count as unknown.
        their_count: how many the file has.

    Returns:
        The map, or ``None`` where a side has no names.
    """
    if names is None or theirs is None:
        return None
    if len(names) != count or len(theirs) != their_count:
        return None
    places = {name.strip().casefold(): i for i, name in reversed(list(enumerate(theirs)))}
    return [places.get(name.strip().casefold()) for name in names]


def input_mapping(
    names: Sequence[str] | None, theirs: Sequence[str] | None, *, count: int, their_count: int
) -> list[int | None]:
    """Map input channels: by name where some names agree; else in order if they are as many.

    Of channels that have nothing in common (one of CT, four of MR) none is another.
    """
    named = by_name(names, theirs, count=count, their_count=their_count)
    if named is not None and any(place is not None for place in named):
        return named
    return list(range(count)) if count == their_count else [None] * count


def output_mapping(
    names: Sequence[str] | None, theirs: Sequence[str] | None, *, count: int, their_count: int
) -> list[int | None]:
    """Map classes: by name where both sides have names; else in order if they are as many."""
    named = by_name(names, theirs, count=count, their_count=their_count)
    if named is not None:
        return named
    return list(range(count)) if count == their_count else [None] * count


def adapt_inputs(weight: Tensor, mapping: Mapping) -> Tensor:
    """Give a layer other input channels.

    A channel that the file has keeps its kernels, any other takes the mean of all the file's, and
    all are multiplied by the ratio of channels, so that images which are alike in all channels give
    what they gave before.

    Args:
        weight: ``(out, their channels, *K)``.
        mapping: see `input_mapping`.

    Returns:
        ``(out, len(mapping), *K)``.
    """
    mean = weight.mean(dim=1)
    columns = [mean if place is None else weight[:, place] for place in mapping]
    return torch.stack(columns, dim=1) * (weight.shape[1] / len(mapping))


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
