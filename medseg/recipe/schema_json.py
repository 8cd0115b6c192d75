"""Generate the JSON schema for editors: ``python -m medseg.recipe.schema_json``."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

from medseg.recipe import catalogue, homes
from medseg.recipe.arguments import _alternatives, _inner, _is_ellipsis, _name, _parse
from medseg.recipe.recipe import Recipe
from medseg.recipe.signatures import Argument
from medseg.recipe.slots import WORDS

FILE = Path(__file__).resolve().parents[2] / "recipes" / "schema.json"

_VARIABLE = {"type": "string", "pattern": r"\$\{"}
# Arguments repeat a few types a thousand times: named once, the file stays small.
_SHARED = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
}


def json_schema() -> dict[str, Any]:
    """Return the schema of a recipe: the skeleton, and what ships in each slot."""
    schema = Recipe.model_json_schema(mode="validation")
    definitions = schema.pop("$defs")
    definitions["variable"] = _VARIABLE
    for name, kind in _SHARED.items():
        definitions[name] = {"anyOf": [kind, {"$ref": "#/$defs/variable"}]}
    schema = _filled(schema)
    definitions = {name: _filled(item) for name, item in definitions.items()}
    _relax(schema, definitions)
    for slot in homes.OURS:
        definitions[slot] = _slot(slot)
    schema["properties"]["extends"] = {
        "description": "Parents: files, relative to this one, or names of shipped recipes.",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "medseg recipe",
        **{key: value for key, value in schema.items() if key != "title"},
        "$defs": definitions,
    }


def _relax(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Say in the schema what the reader allows beyond the model."""
    properties = schema["properties"]
    for name in ("data", "plan", "trainer", "inference", "evaluation"):
        reference = properties[name].pop("$ref")
        properties[name]["anyOf"] = [{"$ref": reference}, {"type": "null"}]
    transforms = {"type": "array", "items": {"$ref": "#/$defs/augmentation"}}
    words = {"enum": ["default", "light", "strong", "none", None]}
    properties["augmentation"] = _kept(properties["augmentation"]) | {
        "anyOf": [words, {"$ref": "#/$defs/variable"}, transforms]
    }
    logger = {"$ref": "#/$defs/logger"}
    none = {"enum": ["none", None]}
    properties["logger"] = _kept(properties["logger"]) | {
        "anyOf": [none, logger, {"type": "array", "items": {"anyOf": [none, logger]}}]
    }
    precision = definitions["Trainer"]["properties"]["precision"]
    precision["anyOf"].append({"enum": [32, 64]})
    # These defaults depend on something else; the model's own would mislead.
    for name in ("name", "run_dir"):
        properties[name].pop("default")


def _kept(item: dict[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in ("description", "default") if key in item}


def _filled(item: Any) -> Any:
    """Put references where slots are, and allow a variable wherever a value is no text."""
    if isinstance(item, list):
        return [_filled(part) for part in item]
    if not isinstance(item, dict):
        return item
    if "slot" in item:
        rest = {key: value for key, value in item.items() if key in ("description", "default")}
        return {"$ref": f"#/$defs/{item['slot']}", **rest}
    out = {key: _filled(value) for key, value in item.items() if key != "title" or "type" in item}
    if isinstance(out.get("title"), str):
        out.pop("title")
    kinds = {"integer", "number", "boolean"}
    if out.get("type") in kinds or ("enum" in out and "properties" not in out):
        extra = {key: out.pop(key) for key in ("description", "default") if key in out}
        return {"anyOf": [out, {"$ref": "#/$defs/variable"}], **extra}
    return out


def _slot(slot: str) -> dict[str, Any]:
    """Describe a slot: a name, or a mapping whose other keys depend on its name."""
    known = catalogue.names(slot)
    name = {
        "description": f"Name of the {WORDS[slot]}.",
        "anyOf": [{"enum": known}, {"type": "string", "pattern": r"^[\w.]+:[\w.]+$|\$\{"}],
    }
    return {
        "anyOf": [
            name,
            {
                "type": "object",
                "properties": {"name": name},
                "allOf": [_branch(slot, item) for item in known],
            },
        ]
    }


def _branch(slot: str, name: str) -> dict[str, Any]:
    record = catalogue.find(slot, name)
    assert record is not None
    wired = catalogue.wired(slot, name, record.arguments)
    free = {key: item for key, item in record.arguments.items() if key not in wired}
    then: dict[str, Any] = {
        "properties": {"name": {}} | {key: _argument(item) for key, item in free.items()}
    }
    if not record.is_open:
        then["additionalProperties"] = False
    return {"if": {"properties": {"name": {"const": name}}, "required": ["name"]}, "then": then}


def _argument(argument: Argument) -> dict[str, Any]:
    default = argument.literal
    note = {"default": default.value} if default is not None and default.value is not None else {}
    tree = _parse(argument.type) if argument.type else None
    if tree is None:
        return note
    options = [_kind(part) for part in _alternatives(tree)]
    if default is not None and default.value is None and {"type": "null"} not in options:
        options.append({"type": "null"})
    if not all(options):
        return note
    unique = [item for index, item in enumerate(options) if item not in options[:index]]
    return (unique[0] if len(unique) == 1 else {"anyOf": unique}) | note


def _kind(tree: ast.expr) -> dict[str, Any]:
    """Return the schema of one alternative of an annotation; empty if anything goes."""
    name = _name(tree)
    if name in _SHARED:
        return {"$ref": f"#/$defs/{name}"}
    if name == "str":
        return {"type": "string"}
    if isinstance(tree, ast.Constant) and tree.value is None:
        return {"type": "null"}
    if name in ("Sequence", "list", "tuple"):
        kinds = [_kind(item) for item in _inner(tree) if not _is_ellipsis(item)]
        unique = [item for index, item in enumerate(kinds) if item not in kinds[:index]]
        items = {"items": unique[0]} if len(unique) == 1 and unique[0] else {}
        return {"type": "array", **items}
    return {"type": "object"} if name in ("dict", "Mapping") else {}


def to_text() -> str:
    """Return the file's text."""
    return json.dumps(json_schema(), separators=(",", ":"), ensure_ascii=False) + "\n"


def main() -> int:
    """Write the schema beside the recipes of this repository."""
    if not FILE.parent.is_dir():
        print(f"there is no folder {FILE.parent}", file=sys.stderr)
        return 1
    FILE.write_text(to_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
