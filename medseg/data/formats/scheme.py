"""Settle what the labels mean: the folder's word, a preset's, or the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medseg.data.formats import colours, files, presets
from medseg.data.formats.agreement import IGNORE, require_agreement
from medseg.data.formats.layout import Layout
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.peek import label_values
from medseg.errors import InputError
from medseg.labels import LabelScheme

Labels = str | Mapping[str, int] | None
Regions = bool | Mapping[str, Sequence[int]] | None

# So many classes are rare, so many objects are not.
_MANY = 6


class Settled(NamedTuple):
    """A label scheme, the value map that goes with it, and what the user should know.

    Attributes:
        scheme: the label scheme.
        value_map: file value -> label value.
        notes: in words.
        preset: name of the preset that gave the labels, or an empty string.
    """

    scheme: LabelScheme
    value_map: Mapping[int, int]
    notes: tuple[str, ...]
    preset: str = ""


def settle(
    layout: Layout,
    *,
    labels: Labels,
    regions: Regions,
    options: FormatOptions,
    label_paths: Sequence[Path],
    source: Path,
) -> Settled:
    """Combine what the recipe says with what the folder declares; the recipe wins.

    Args:
        layout: what the format found.
        labels: a preset's name, ``{name: value}``, or ``None`` for the folder's own.
        regions: ``{name: [values]}``, ``True`` for the preset's or the folder's, ``False`` for
            none, ``None`` for the folder's own if it declares them.
        options: gives the value map and the region order.
        label_paths: masks to look into where nobody declares anything.
        source: the folder, for messages.

    Raises:
        InputError: an unknown preset; one that contradicts the folder; regions of unknown values.
    """
    preset = presets.get(labels) if isinstance(labels, str) else None
    if preset is None and labels is None and layout.preset:
        preset = presets.PRESETS[layout.preset]
    if isinstance(labels, str) and preset is not None:
        require_agreement(layout, preset, source)
    value_map = options.value_map or layout.value_map
    notes: list[str] = []
    if isinstance(labels, Mapping):
        values = parse_values(labels)
    elif isinstance(labels, str) and preset is not None:
        values = dict(preset.values)
    elif labels is not None:
        raise InputError(
            "data.labels must be a preset's name or a mapping",
            expected="brats2021, or {tumour: 1}",
            found=repr(labels),
        )
    elif layout.values is not None:
        values = dict(layout.values)
    elif preset is not None:
        values = dict(preset.values)
    else:
        values, value_map, note = _look(label_paths, value_map)
        notes.append(note)
    ignore = values.pop(IGNORE, None)
    chosen, order = _regions(layout, preset, labels, regions)
    order = options.region_order or order
    stray = sorted(set(order) - set(values.values()))
    if chosen and stray:
        raise InputError(
            "the decoding order writes values that are not declared labels",
            expected=f"some of {sorted(values.values())}",
            found=str(stray),
            remedy="correct data.region_order",
        )
    scheme = LabelScheme(values, chosen, order if chosen else (), ignore)
    return Settled(scheme, value_map, tuple(notes), preset.name if preset is not None else "")


def parse_values(labels: Mapping[str, Any]) -> dict[str, int]:
    """Check the mapping under ``data.labels``.

    Raises:
        InputError: a value is no whole number.
    """
    values = {}
    for name, value in labels.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            raise InputError(
                f"data.labels: {name!r} has several values",
                expected="one value per label",
                found=str(list(value)),
                remedy="unions of labels belong under data.regions",
            )
        values[str(name)] = files.as_int(value, what=f"data.labels: {name!r}")
    return values


def _regions(
    layout: Layout, preset: presets.Preset | None, labels: Labels, regions: Regions
) -> tuple[Mapping[str, tuple[int, ...]], tuple[int, ...]]:
    if regions is False:
        return {}, ()
    if regions is None:
        return (layout.regions, layout.region_order) if labels is None else ({}, ())
    if regions is True:
        if preset is not None and preset.regions:
            return preset.regions, ()
        if labels is None and layout.regions:
            return layout.regions, layout.region_order
        if preset is not None:
            preset.scheme(regions=True)  # raises: it has none
        raise InputError(
            "data.regions: true needs a label preset that has regions",
            expected=", ".join(p.name for p in presets.PRESETS.values() if p.regions),
            remedy="name it under data.labels, or give data.regions as {name: [values]}",
        )
    if not isinstance(regions, Mapping):
        raise InputError(
            "data.regions must be true, false or a mapping",
            expected="{WT: [1, 2, 4]}",
            found=repr(regions),
        )
    chosen = {}
    for name, members in regions.items():
        listed = members if isinstance(members, Sequence) and not isinstance(members, str) else None
        what = f"data.regions: {name!r}"
        if listed is None:
            raise InputError(f"{what} must be a list of values", found=repr(members))
        chosen[str(name)] = tuple(files.as_int(v, what=what) for v in listed)
    return chosen, ()


def _look(
    paths: Sequence[Path], value_map: Mapping[int, int]
) -> tuple[dict[str, int], Mapping[int, int], str]:
    raw, coloured = label_values(paths, by_colour=colours.names_colours(value_map))
    if coloured:
        return _look_at_colours(raw, value_map, paths)
    found = sorted({value_map.get(v, v) for v in raw} - {0})
    if not found:
        raise InputError(
            "the first masks hold nothing but background, so the labels cannot be told from them",
            file=paths[0] if paths else None,
            remedy="declare them under data.labels",
        )
    if found == [255] and not value_map:
        return (
            {"foreground": 1},
            {255: 1},
            "no labels are declared: the first masks hold 0 and 255, taken as background and "
            "foreground (data.labels and data.value_map say otherwise)",
        )
    return (
        {"foreground" if found == [1] else f"label_{v}": v for v in found},
        value_map,
        f"no labels are declared: the first masks hold {found} beside 0; name them under "
        f"data.labels{_or_numbers(found)}",
    )


def _or_numbers(values: Sequence[int]) -> str:
    """Say what else many values could be that count from 1 on."""
    if len(values) < _MANY or list(values) != list(range(1, len(values) + 1)):
        return ""
    return "; or, if each value is an object: task=detection detection.objects=instances"


def _look_at_colours(
    raw: Sequence[int], value_map: Mapping[int, int], paths: Sequence[Path]
) -> tuple[dict[str, int], Mapping[int, int], str]:
    """Make a label of each colour but black, or check those that the value map names."""
    drawn = [colour for colour in raw if colour]
    if not value_map:
        values = {f"colour_{colour:06x}": n for n, colour in enumerate(drawn, start=1)}
        return (
            values,
            {colour: n for n, colour in enumerate(drawn, start=1)},
            f"no labels are declared: the first masks are drawn in {len(drawn)} colours beside "
            "black; name them under data.labels, and data.value_map says which colour is which",
        )
    strange = [colour for colour in drawn if colour not in value_map]
    if strange:
        raise InputError(
            f"masks have {files.count(len(strange), 'colour')} that data.value_map does not know",
            file=paths[0].parent,
            expected=", ".join(colours.name(key) for key in value_map),
            found=files.first_ten([colours.name(colour) for colour in strange]),
            remedy="add what they mean to data.value_map; 0 is background",
        )
    named = sorted(set(value_map.values()) - {0})
    return (
        {f"label_{value}": value for value in named},
        value_map,
        f"no labels are declared: data.value_map leads to {named}; name them under data.labels",
    )
