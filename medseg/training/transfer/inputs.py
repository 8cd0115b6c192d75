"""Fit the weights of the first layers to other input channels: an image's, and a guide's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from medseg.training.transfer.naming import Mapping, by_name


class Channel(NamedTuple):
    """One input channel.

    Attributes:
        name: of an image's channel, or of the class whose mask it is; ``None``: unknown.
        guide: whether it is a mask that an earlier stage has found.
        step: of neighbouring slices, how far it is from the one in the middle.
    """

    name: str | None = None
    guide: bool = False
    step: int = 0

    def __str__(self) -> str:
        words = f"mask of {self.name}" if self.guide else str(self.name)
        return f"{words} {self.step:+d}" if self.step else words


@dataclass(frozen=True)
class Channels:
    """What the input channels of a network are.

    Attributes:
        images: names of the image's channels; ``None``: unknown.
        guides: names of the classes whose masks follow, as an earlier stage has found them.
        neighbours: slices on either side that are channels, too, each with all of these; see
            `medseg.networks.neighbouring_slices`.
    """

    images: Sequence[str] | None = None
    guides: Sequence[str] = ()
    neighbours: int = 0

    def of_layer(self, count: int) -> list[Channel]:
        """Say what each of a layer's ``count`` channels is.

        Names that do not come to as many count as unknown.
        """
        slices = range(-self.neighbours, self.neighbours + 1)
        each, rest = divmod(count, len(slices))
        images = each - len(self.guides)
        if rest or images < 1:
            return [Channel()] * count
        known = self.images if len(self.images or ()) == images else None
        names: Sequence[str | None] = known or [None] * images
        one = [Channel(name) for name in names]
        one += [Channel(name, guide=True) for name in self.guides]
        return [channel._replace(step=step) for step in slices for channel in one]


def input_mapping(ours: Sequence[Channel], theirs: Sequence[Channel]) -> list[int | None]:
    """Map input channels: images' by name where some names agree; else in order if as many.

    Of channels that have nothing in common (one of CT, four of MR) none is another. Masks are
    mapped by the names of their classes, and never to images.
    """
    mapping: list[int | None] = [None] * len(ours)
    for kind in {(channel.guide, channel.step) for channel in ours}:
        own, there = (
            [i for i, channel in enumerate(side) if (channel.guide, channel.step) == kind]
            for side in (ours, theirs)
        )
        found = by_name([ours[i].name for i in own], [theirs[i].name for i in there])
        for i, place in zip(own, found, strict=True):
            mapping[i] = None if place is None else there[place]
    own, there = (_images(side) for side in (ours, theirs))
    if len(own) == len(there) and all(mapping[i] is None for i in own):
        for i, place in zip(own, there, strict=True):
            mapping[i] = place
    return mapping


def adapt_inputs(
    weight: Tensor,
    mapping: Mapping,
    *,
    guides: Collection[int] = (),
    their_guides: Collection[int] = (),
) -> Tensor:
    """Give a layer other input channels.

    A channel of an image that the file has keeps its kernels, any other takes the mean of all the
    file's, and all are multiplied by the ratio of channels, so that images which are alike in all
    channels give what they gave before. A guide that the file has keeps its kernels as they are,
    any other begins with zeros: what the network makes of an image is not changed by it.

    Args:
        weight: ``(out, their channels, *K)``.
        mapping: see `input_mapping`.
        guides: which of the network's channels are masks of an earlier stage.
        their_guides: which of the file's.

    Returns:
        ``(out, len(mapping), *K)``.
    """
    images = [i for i in range(weight.shape[1]) if i not in their_guides]
    ratio = len(images) / (len(mapping) - len(guides))
    mean = weight[:, images].mean(dim=1)

    def column(own: int, place: int | None) -> Tensor:
        if own in guides:
            return torch.zeros_like(mean) if place is None else weight[:, place]
        return (mean if place is None else weight[:, place]) * ratio

    return torch.stack([column(own, place) for own, place in enumerate(mapping)], dim=1)


class Adapted(NamedTuple):
    """A first layer's weight for other channels.

    Attributes:
        weight: ``(out, channels, *K)``.
        how: what was adapted, in words; empty where nothing was.
        zero: the masks whose kernels begin with zeros.
    """

    weight: Tensor
    how: str = ""
    zero: tuple[str, ...] = ()


def adapted(weight: Tensor, count: int, *, ours: Channels, theirs: Channels) -> Adapted:
    """Fit a first layer's weight to a network's channels, by what these are; see `adapt_inputs`.

    Args:
        weight: ``(out, their channels, *K)``.
        count: channels that the network's layer has.
        ours: what they are.
        theirs: what the file's are.
    """
    own, there = ours.of_layer(count), theirs.of_layer(weight.shape[1])
    mapping = input_mapping(own, there)
    if mapping == list(range(len(there))):
        return Adapted(weight)
    shown = [str(i) if channel.name is None else str(channel) for i, channel in enumerate(own)]
    kept = [shown[i] for i, place in enumerate(mapping) if place is not None]
    fresh = [i for i, place in enumerate(mapping) if place is None]
    mean = [shown[i] for i in fresh if not own[i].guide]
    zero = tuple(shown[i] for i in fresh if own[i].guide)
    left = [str(channel) for i, channel in enumerate(there) if channel.guide and i not in mapping]
    before, after = len(_images(there)), len(_images(own))
    images = "those of the image" if after < len(own) else "all"
    words = [
        f"kept {', '.join(kept)}" if kept else "",
        f"{', '.join(mean)}: the mean of the file's" if mean else "",
        f"{images} times {before}/{after}" if before != after else "",
        f"{', '.join(zero)}: zero" if zero else "",
        f"{', '.join(left)}: left out" if left else "",
    ]
    value = adapt_inputs(weight, mapping, guides=_guides(own), their_guides=_guides(there))
    return Adapted(value, "; ".join(filter(None, words)), zero)


def _images(channels: Sequence[Channel]) -> list[int]:
    return [i for i, channel in enumerate(channels) if not channel.guide]


def _guides(channels: Sequence[Channel]) -> list[int]:
    return [i for i, channel in enumerate(channels) if channel.guide]
