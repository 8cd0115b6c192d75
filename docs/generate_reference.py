"""Write recipe_reference.md and the label presets: ``python docs/generate_reference.py``."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medseg.recipe import Recipe, catalogue, homes, key_defaults

FILE = Path(__file__).with_name("recipe_reference.md")

PRESETS_BEGIN = "<!-- presets: written by docs/generate_reference.py -->"
PRESETS_END = "<!-- presets end -->"
RECIPES_BEGIN = "<!-- recipes: written by docs/generate_reference.py -->"
RECIPES_END = "<!-- recipes end -->"

SLOTS = {
    "network": "Networks",
    "loss": "Losses",
    "optimizer": "Optimisers",
    "schedule": "Schedules",
    "augmentation": "Transforms",
    "logger": "Loggers",
}
_SECTIONS = ("data", "plan", "transfer", "cascade", "trainer", "inference", "evaluation")
_TIME = "a time such as `15m`, `1h30m`, `90s`"

_HEAD = """\
<!-- Written by docs/generate_reference.py; change medseg/recipe/ and run it again. -->

# Recipe reference

Every key of a recipe, what it takes and its default. [Recipes](recipes.md) explains how they work
together. `medseg validate RECIPE` holds a file against this list. Editors that know JSON schemas
complete and check recipes by `recipes/schema.json`.

Beside these keys a recipe may name its parents: `extends: base/mr`, or a list of them.

"""


def to_text() -> str:
    """Return the page."""
    schema = Recipe.model_json_schema(mode="validation")
    words = _Words(schema["$defs"])
    top = {key: item for key, item in schema["properties"].items() if key not in _SECTIONS}
    parts = [_HEAD, "## Top level\n\n", *_keys(top, "", words, key_defaults())]
    for name in _SECTIONS:
        parts += _section(name, schema["properties"][name], words)
    parts.append("## Components\n\n" + _COMPONENTS)
    for slot, title in SLOTS.items():
        parts.append(f"### {title}\n\n{_slot(slot)}\n")
    return "".join(parts).rstrip() + "\n"


_COMPONENTS = """\
A component is a name, `network: unet`, or a mapping with a name and arguments,
`network: {name: unet, convs_per_stage: 3}`. Arguments that follow from the data (channels, classes,
patch size, strides) are filled in and cannot be given. Your own classes are written
`package.module:Class` and need `--trust package` on the command line.

"""


class _Words:
    """Says in words what a JSON schema allows."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self.definitions = definitions

    def section(self, item: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the mapping with fixed keys that a value may be."""
        for option in (item, *item.get("anyOf", ()), *_items(item)):
            if "$ref" in option:
                return self.definitions[option["$ref"].rsplit("/", 1)[-1]]
        return None

    def of(self, item: Mapping[str, Any]) -> str:
        """Return what a value may be."""
        if "slot" in item:
            return f"[component](#{SLOTS[item['slot']].lower()})"
        if "anyOf" in item:
            found = [self.of(option) for option in item["anyOf"]]
            return " or ".join(dict.fromkeys(word for word in found if word))
        if "$ref" in item:
            return "a mapping, see below"
        if "enum" in item:
            return " or ".join(f"`{value}`" for value in item["enum"])
        if "const" in item:
            return f"`{item['const']}`"
        return self._by_type(item)

    def _by_type(self, item: Mapping[str, Any]) -> str:
        kind = item.get("type")
        if kind == "null":
            return ""
        if kind == "boolean":
            return "`true` or `false`"
        if kind == "string":
            return _TIME if "dhms" in item.get("pattern", "") else "text"
        if kind in ("integer", "number"):
            return ("whole number" if kind == "integer" else "number") + _range(item)
        if kind == "array":
            inside = self.of(item.get("items", {}))
            return f"[{inside}, …]" if inside else "list"
        if kind == "object":
            inside = self.of(item.get("additionalProperties") or {})
            return f"{{name: {inside}, …}}" if inside else "mapping"
        return ""


def _range(item: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {item[key]:g}" for key, sign in signs.items() if key in item]
    # The largest seed is of no interest.
    found = [text for text in found if "e+" not in text]
    return f" ({', '.join(found)})" if found else ""


def _items(item: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for option in (item, *item.get("anyOf", ())):
        inner = option.get("items", {})
        yield from (inner, *inner.get("anyOf", ())) if isinstance(inner, dict) else ()


def _section(name: str, item: Mapping[str, Any], words: _Words) -> list[str]:
    found = words.section(item)
    assert found is not None
    about = found.get("description", "").replace("\n", " ")
    rows = _keys(
        found["properties"], f"{name}.", words, key_defaults(), needed=found.get("required", ())
    )
    return [f"## {name}\n\n{about}\n\n", *rows]


def _keys(
    properties: Mapping[str, Any],
    prefix: str,
    words: _Words,
    defaults: Mapping[str, Any],
    *,
    needed: Iterable[str] = (),
) -> list[str]:
    rows, below = [], []
    for key, item in properties.items():
        # Where the two differ, the model's own default is completed when a recipe is read.
        default = defaults.get(prefix + key, item.get("default"))
        takes = _cell(words.of(item))
        about = _cell(item.get("description", ""))
        shown = "must be given" if key in needed else _default(default)
        rows.append((f"`{prefix}{key}`", takes, shown, about))
        inner = words.section(item)
        if inner is not None:
            about = inner.get("description", "").replace("\n", " ")
            below.append(f"### {prefix}{key}\n\n{about}\n\n")
            needs = inner.get("required", ())
            below += _keys(inner["properties"], "", words, {}, needed=needs)
    return [_table(("key", "takes", "default", "meaning"), rows), "\n", *below]


def _default(value: Any) -> str:
    if value is None:
        return "`null`"
    if isinstance(value, tuple | list):
        value = [getattr(item, "name", item) for item in value]
        value = value[0] if len(value) == 1 else value
    value = getattr(value, "name", value)
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _slot(slot: str) -> str:
    rows = []
    for name in homes.OURS[slot]:
        record = catalogue.find(slot, name)
        assert record is not None
        apart = catalogue.wired(slot, name, record.arguments) | catalogue.filled(slot)
        free = {key: item for key, item in record.arguments.items() if key not in apart}
        arguments = ", ".join(f"`{key}: {_argument(item)}`" for key, item in free.items())
        rows.append((f"`{name}`", _cell(_purpose(record.path)), arguments or "none"))
    text = _table(("name", "what it is", "arguments and their defaults"), rows)
    for prefix, module in homes.LIBRARIES[slot].items():
        names = [n for n in catalogue.names(slot) if n.startswith(f"{prefix}.")]
        text += f"\nAnd {len(names)} classes of `{module}`, by `{prefix}.Name`"
        few = len(names) <= 20
        listed = (
            ": " + ", ".join(f"`{n}`" for n in names) if few else f", such as `{_SUCH[module]}`"
        )
        text += f"{listed}.\n"
    return text


def presets() -> str:
    """Return the table of label presets that datasets.md shows."""
    from medseg.data.formats.presets import PRESETS

    rows = [
        (
            f"`{item.name}`",
            item.source,
            ", ".join(item.channels),
            ", ".join(f"{name} {value}" for name, value in item.values.items()),
            ", ".join(f"{n} = {' + '.join(map(str, v))}" for n, v in item.regions.items()),
        )
        for item in PRESETS.values()
    ]
    return _table(("preset", "data set", "channels", "values", "regions"), rows)


def shipped_recipes() -> str:
    """Return the table of recipes that datasets.md shows: all that name their data."""
    from medseg.recipe.shipped import headline, said

    root = FILE.parents[1] / "recipes"
    first = [root / "quickstart.yaml", root / "detection" / "quickstart.yaml"]
    found = sorted((*root.glob("segmentation/**/*.yaml"), *root.glob("detection/*.yaml")))
    rows = [
        (
            # By its last part, unless that is the name of another one.
            "`detection/quickstart`" if path == first[1] else f"`{path.stem}`",
            _cell(headline(path)),
            _cell(said(path, "Data")),
            _cell(said(path, "Expected")),
        )
        for path in dict.fromkeys((*first, *found))
    ]
    return _table(("recipe", "what it is for", "data", "expected"), rows)


_SUCH = {
    "monai.networks.nets": "monai.SegResNet",
    "monai.transforms": "monai.RandGaussianNoised",
    "torchio.transforms": "torchio.RandomBiasField",
}


def _argument(item: Any) -> str:
    literal = item.literal
    return "…" if literal is None else json.dumps(literal.value)


def _purpose(path: str) -> str:
    module, _, name = path.partition(":")
    if not module.startswith("medseg."):
        return f"`{module}.{name}`"
    return (inspect.getdoc(getattr(importlib.import_module(module), name)) or "").split("\n")[0]


def _cell(text: str) -> str:
    text = text.replace("\n", " ").replace("|", "\\|").replace("``", "`")
    return text.replace("<", "&lt;").strip()


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Write the page, and presets and recipes between their marks in datasets.md."""
    FILE.write_text(to_text(), encoding="utf-8")
    page = FILE.with_name("datasets.md")
    text = page.read_text(encoding="utf-8")
    text = _between(PRESETS_BEGIN, PRESETS_END, text, presets())
    text = _between(RECIPES_BEGIN, RECIPES_END, text, shipped_recipes())
    page.write_text(text, encoding="utf-8")


def _between(begin: str, end: str, text: str, table: str) -> str:
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{table}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    main()
