"""Which label each of several overlapping regions writes, and whether that gives the labels back.

A network predicts regions (WT, TC, ET), a mask holds labels (1, 2, 4). Decoding lets every region
write one label, later regions over earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medseg.errors import InputError

Regions = Mapping[str, Sequence[int]]


def decoding_order(regions: Regions) -> tuple[int, ...]:
    """Give each region the value that no region inside it owns.

    For nested regions this is unique: WT = {1, 2, 3} over TC = {1, 3} owns 2.

    Raises:
        InputError: a region has no such value, or several.
    """
    order = []
    for name, members in regions.items():
        inner = {v for other in regions.values() if set(other) < set(members) for v in other}
        own = sorted(set(members) - inner)
        if len(own) != 1:
            raise InputError(
                f"region {name!r} does not say which label decoding should write",
                expected="nested regions that leave one label each, or data.region_order",
                found=f"its own labels: {own}",
                remedy="say it for each region: data.region_order=[…], the largest region first",
            )
        order.append(own[0])
    return tuple(order)


def require_decodable(regions: Regions, order: Sequence[int], values: Mapping[str, int]) -> None:
    """Refuse regions out of which decoding makes other regions than went in.

    Two labels of the same regions may become one, since no region tells them apart. But regions
    that merely cross, or a large one behind a small one, lose what was learnt.

    Args:
        regions: name -> the values that it unites.
        order: the value that decoding writes for each.
        values: label name -> value.

    Raises:
        InputError: two regions are the same, or a label comes back as one of other regions.
    """
    names = list(regions)
    sets = [set(members) for members in regions.values()]
    for at, members in enumerate(sets):
        if members in sets[:at]:
            raise InputError(
                f"the regions {names[sets.index(members)]!r} and {names[at]!r} are the same",
                expected="regions that differ in a label",
                found=f"both unite {sorted(members)}",
                remedy="leave one of them out of data.regions",
            )
    writes = ", ".join(f"{name} {value}" for name, value in zip(names, order, strict=True))
    for label, value in values.items():
        written = [code for members, code in zip(sets, order, strict=True) if value in members]
        if written and _within(written[-1], sets) != _within(value, sets):
            raise InputError(
                f"the regions overlap so that decoding makes {written[-1]} of {label!r} ({value})",
                expected="nested regions, the largest first, each of which writes a label of its "
                "own; a later one overwrites an earlier one",
                found=f"regions write, in this order: {writes}",
                remedy="put data.regions in order, or correct data.region_order",
            )


def _within(value: int, sets: Sequence[set[int]]) -> list[bool]:
    return [value in members for members in sets]
