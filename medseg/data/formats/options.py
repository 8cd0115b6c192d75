"""The recipe keys under ``data`` that say how a folder is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from medseg.data.formats.files import as_int
from medseg.errors import InputError, did_you_mean


@dataclass(frozen=True)
class FormatOptions:
    """Options of `medseg.data.formats.read` and `group`; each format uses those it knows.

    Attributes:
        value_map: value in the label file -> label value, such as ``{255: 1}``.
        region_order: the label value that decoding writes for each region, in their order.
        group_pattern: where the patient stands in a case's id, such as ``{group}_*``: cases of one
            group never straddle folds. ``*`` is any text, ``?`` any one character.
        images_folder, labels_folder: plain folders: where images and labels are (``.``: the root).
        image_pattern, label_pattern: plain folders: file names with ``{case}`` and, where each
            channel is a file of its own, ``{channel}``; see `medseg.data.formats.folders`.
        datalist: datalist: name of the CSV or JSON file in the folder.
        held_out: ids of the cases that validate, all others train; ``*`` is any text, ``?`` any one
            character. Replaces the folds that the folder declares, or random ones.
    """

    value_map: Mapping[int, int] = field(default_factory=dict)
    region_order: tuple[int, ...] = ()
    group_pattern: str | None = None
    images_folder: str | None = None
    labels_folder: str | None = None
    image_pattern: str = "{case}"
    label_pattern: str = "{case}"
    datalist: str | None = None
    held_out: tuple[str, ...] = ()

    @classmethod
    def parse(cls, options: Mapping[str, Any] | None) -> FormatOptions:
        """Check plain values; keys that are ``None`` count as absent.

        Raises:
            InputError: an unknown key or a value of the wrong type.
        """
        given = {k: v for k, v in (options or {}).items() if v is not None}
        known = {f.name for f in fields(cls)}
        for key in given:
            if key not in known:
                raise InputError(
                    f"data.{key}: no such key; {did_you_mean(key, known)}".rstrip("; "),
                    expected=f"one of {', '.join(sorted(known))}",
                )
        for key in sorted(known - {"value_map", "region_order", "held_out"}):
            if key in given and not (isinstance(given[key], str) and given[key]):
                raise InputError(f"data.{key} must be text", found=repr(given[key]))
        if "value_map" in given:
            given["value_map"] = parse_value_map(given["value_map"])
        if "region_order" in given:
            order = given["region_order"]
            if isinstance(order, str) or not hasattr(order, "__iter__"):
                raise InputError("data.region_order must be a list of values", found=repr(order))
            given["region_order"] = tuple(as_int(v, what="data.region_order") for v in order)
        if "held_out" in given:
            names = given["held_out"]
            if isinstance(names, str) or not all(isinstance(n, str) and n for n in names):
                raise InputError("data.held_out must be a list of case ids", found=repr(names))
            given["held_out"] = tuple(names)
        return cls(**given)


def parse_value_map(value: Any) -> dict[int, int]:
    """Check a value map.

    Raises:
        InputError: it is not a mapping of whole numbers.
    """
    if not isinstance(value, Mapping):
        raise InputError("data.value_map must be a mapping", expected="{255: 1}", found=repr(value))
    what = "data.value_map"
    return {as_int(k, what=what): as_int(v, what=what) for k, v in value.items()}
