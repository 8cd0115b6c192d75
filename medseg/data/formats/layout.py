"""What one data format finds in a folder, before labels and channels are settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from medseg.data.case import Case
from medseg.objects import ObjectRule


@dataclass(frozen=True)
class Layout:
    """What a format's ``read`` returns.

    Attributes:
        cases: all cases, with and without a label.
        channels: the channel names that the images have, in order.
        values: the labels that the folder declares, name -> file value; ``None``: it is silent.
        regions: the regions that the folder declares, name -> file values.
        region_order: the file value that decoding writes for each region; empty: it follows.
        preset: name of the label preset that the folder implies, or ``None``.
        binding: the declared labels come from the data's own description, so that a preset which
            contradicts them is refused.
        value_map: file value -> label value.
        notes: what was odd, in words.
        splits: folds that the folder declares.
        objects: of a format that tells of objects: how; classes of annotations and instances are
            indices into ``values`` without background.
    """

    cases: tuple[Case, ...]
    channels: tuple[str, ...]
    values: Mapping[str, int] | None = None
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    region_order: tuple[int, ...] = ()
    preset: str | None = None
    binding: bool = False
    value_map: Mapping[int, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    splits: tuple[Mapping[str, list[str]], ...] = ()
    objects: ObjectRule | None = None


class Recognition(NamedTuple):
    """A format's name, and what in the folder speaks for it."""

    format: str
    reason: str
