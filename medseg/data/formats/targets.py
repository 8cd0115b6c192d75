"""Settle what is an object, and what the objects' classes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from medseg.data.case import Case
from medseg.data.formats import files
from medseg.data.formats.class_names import alike, require_names
from medseg.data.formats.layout import Layout
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.scheme import Labels, Regions, Settled, parse_values
from medseg.errors import InputError, did_you_mean
from medseg.labels import LabelScheme
from medseg.objects import ObjectRule

Objects = ObjectRule | Mapping[str, Any] | str | None

_CHOICES = {"source": ("components", "instances", "boxes"), "empty": ("negative", "error")}
# What changes nothing about such objects.
_IDLE: dict[str, tuple[str, ...]] = {
    "components": (),
    "instances": ("connectivity",),
    "boxes": ("connectivity", "smallest"),
}


def rule_of(own: ObjectRule | None, asked: Objects, *, source: Path) -> ObjectRule | None:
    """Combine what a format says an object is with what the user says.

    Args:
        own: of a format that tells of objects, or ``None`` of one that has masks.
        asked: a rule, some of its keys, or only its ``source``.
        source: the folder, for messages.

    Raises:
        InputError: an unknown key or value; boxes wanted of masks, or objects of a mask wanted
            where there is none; or a key that means nothing for such objects.
    """
    keys = _parsed(asked)
    if own is None:
        if not keys:
            return None
        if keys.get("source") == "boxes":
            raise InputError(
                "has masks, no boxes",
                file=source,
                expected="objects: components (each connected component of a class is an object) "
                "or instances (each value is one)",
                found="objects: boxes",
            )
        return _useful(ObjectRule(**keys), source)
    if keys.get("source", own.source) != own.source:
        raise InputError(
            f"tells of its objects by {own.source}",
            file=source,
            expected=f"objects: {own.source}, or nothing",
            found=f"objects: {keys['source']}",
        )
    return _useful(replace(own, **keys), source)


def require_objects(cases: Sequence[Case], rule: ObjectRule) -> None:
    """Refuse images without objects where the rule says that they were forgotten.

    Raises:
        InputError: naming them.
    """
    empty = [c for c in cases if c.annotation is not None and not c.annotation.objects]
    if rule.empty == "error" and empty:
        file = (empty[0].annotation and empty[0].annotation.file) or empty[0].images[0]
        raise InputError(
            f"{files.count(len(empty), 'image')} without any object",
            file=file,
            expected="objects in each image, as the rule says: empty: error",
            found=files.first_ten([case.id for case in empty]),
            remedy="annotate them; or if nothing is to be found there, say so: empty: negative",
        )


def require_no_map(options: FormatOptions, rule: ObjectRule, source: Path) -> None:
    """Refuse a value map where no value of a mask means a class.

    Raises:
        InputError: there is one.
    """
    if options.value_map:
        raise InputError(
            f"data.value_map has no meaning where objects are {rule.source}",
            file=source,
            expected="values of masks, which are of classes",
            found=f"value_map: {dict(options.value_map)}",
            remedy="leave it out; objects that do not count, remove from the files",
        )


def settle_classes(
    layout: Layout, cases: Sequence[Case], *, labels: Labels, regions: Regions, source: Path
) -> tuple[Settled, tuple[Case, ...]]:
    """Settle the classes of boxes or of instances; indices follow the order that was asked for.

    Args:
        layout: declares the classes, or is silent: then all objects are of one.
        cases: with annotations or instances that count ``layout.values`` from 0.
        labels: ``{name: value}``, or ``None`` for the layout's own.
        regions: must not be wanted.
        source: the folder, for messages.

    Raises:
        InputError: a preset or regions are wanted; an object is of a class that ``labels`` lack;
            nothing says which instance is of which class; or nobody names a class.
    """
    if isinstance(labels, str) or regions:
        raise InputError(
            "objects that are listed one by one have classes, but neither presets nor regions",
            file=source,
            expected="data.labels as {name: value}, or null for the data set's own",
            found=f"data.labels: {labels}" if isinstance(labels, str) else "data.regions",
        )
    declared = {"object": 1} if layout.values is None else layout.values
    values = parse_values(labels) if isinstance(labels, Mapping) else declared
    values = {name: value for name, value in values.items() if value}
    below = next((name for name, value in values.items() if value < 0), None)
    if below is not None:
        raise InputError(
            f"data.labels: {below} is below 0",
            file=source,
            expected="a whole number from 1 on for each class",
            found=f"{below}: {values[below]}",
        )
    if not values:
        raise InputError(
            "no image has an object, so the classes cannot be told",
            file=source,
            expected="at least one object in one image",
            found=files.count(len(cases), "image") + " without",
            remedy="name the classes under data.labels, or check that the annotations are there",
        )
    own = sorted((name for name in declared if declared[name]), key=lambda name: declared[name])
    if layout.values is not None:
        require_names(own, cases, source)
    scheme = LabelScheme(values)
    _require_told(cases, scheme, source)
    place = {name: index for index, name in enumerate(scheme.foreground)}
    order = [place.get(name) for name in own]
    renumbered = tuple(_renumber(case, order, own, scheme) for case in cases)
    idle = _unused(renumbered, scheme)
    unused = (f"no object is of class {', '.join(idle)}",) if idle else ()
    return Settled(scheme, {}, (*unused, *alike(scheme.foreground))), renumbered


def _parsed(asked: Objects) -> dict[str, Any]:
    if asked is None:
        return {}
    if isinstance(asked, ObjectRule):
        return asked.to_dict()
    keys = {"source": asked} if isinstance(asked, str) else dict(asked)
    keys = {key: value for key, value in keys.items() if value is not None}
    known = [field.name for field in fields(ObjectRule)]
    for key, value in keys.items():
        if key not in known:
            raise InputError(
                f"objects: no key {key!r}; {did_you_mean(key, known)}".rstrip("; "),
                expected=f"some of {', '.join(known)}",
            )
        if key in _CHOICES and value not in _CHOICES[key]:
            raise InputError(
                f"objects: {key} cannot be {value!r}", expected=f"one of {', '.join(_CHOICES[key])}"
            )
        if key not in _CHOICES and files.as_int(value, what=f"objects: {key}") < 1:
            raise InputError(f"objects: {key} must be 1 at least", found=str(value))
    return keys


def _useful(rule: ObjectRule, source: Path) -> ObjectRule:
    """Return the rule, unless it sets what changes nothing."""
    for key in _IDLE[rule.source]:
        if getattr(rule, key) != getattr(ObjectRule(), key):
            raise InputError(
                f"detection.{key} has no meaning where objects are {rule.source}",
                file=source,
                found=f"{key}: {getattr(rule, key)}",
                remedy="leave it out",
            )
    return rule


def _require_told(cases: Sequence[Case], scheme: LabelScheme, source: Path) -> None:
    silent = any(case.annotation is None and case.instances is None for case in cases)
    if len(scheme.foreground) > 1 and silent:
        raise InputError(
            "nothing says which instance is of which class",
            file=source,
            expected="one class; or nnDetection's layout, with a .json for each instance map",
            found=f"classes {', '.join(scheme.foreground)}",
            remedy="name one class under data.labels",
        )


def _renumber(
    case: Case, order: Sequence[int | None], own: Sequence[str], scheme: LabelScheme
) -> Case:
    def new(old: int) -> int:
        found = order[old]
        if found is None:
            file = case.annotation.file if case.annotation else case.label
            raise InputError(
                f"case {case.id} has an object of an unknown class",
                file=file or case.images[0],
                expected=f"one of {', '.join(scheme.foreground)}, as data.labels says",
                found=own[old],
                remedy="add it to data.labels, or correct its name in the file",
            )
        return found

    if case.annotation is not None:
        classes = tuple(new(number) for number in case.annotation.classes)
        case = replace(case, annotation=replace(case.annotation, classes=classes))
    if case.instances is not None:
        table = tuple((value, new(number)) for value, number in case.instances)
        case = replace(case, instances=table)
    return case


def _unused(cases: Sequence[Case], scheme: LabelScheme) -> list[str]:
    used = {number for c in cases if c.annotation for number in c.annotation.classes}
    used |= {number for case in cases for _, number in case.instances or ()}
    if not used:  # instance maps of a single class
        return []
    return [name for index, name in enumerate(scheme.foreground) if index not in used]
