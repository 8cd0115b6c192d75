"""Generate the table of what ships: ``python -m medseg.recipe.table``.

The only module of this package that imports torch, MONAI and TorchIO.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import json
import sys
from typing import Any

from medseg.recipe.catalogue import FILE
from medseg.recipe.homes import FILTERS, KINDS, LIBRARIES, OURS
from medseg.recipe.signatures import describe

_LIBRARY_KINDS = {
    "monai.transforms": "monai.transforms:Transform",
    "torchio.transforms": "torchio.transforms:Transform",
}
# Transforms that read or write files, need a whole batch, or steer other transforms do not augment.
_LEFT_OUT = (
    "monai.transforms.io",
    "monai.transforms.post",
    "monai.transforms.compose",
    "monai.transforms.inverse",
    "monai.transforms.lazy",
    "monai.transforms.meta_utility",
    "monai.transforms.nvtx",
    "monai.transforms.regularization",
    "monai.transforms.transform",
    "monai.transforms.croppad.batch",
    # The array transforms of these move the image and not the label; the dictionary ones stay.
    "monai.transforms.spatial.array",
    "monai.transforms.croppad.array",
    "torchio.transforms.augmentation.composition",
    "torchio.transforms.lambda_transform",
    "torchio.transforms.monai_adapter",
)


def generate() -> tuple[dict[str, Any], list[str]]:
    """Return the table, and what could not be imported."""
    components: dict[str, dict[str, Any]] = {}
    missing: list[str] = []
    for slot in OURS:
        entries: dict[str, Any] = {}
        for name, path in OURS[slot].items():
            try:
                entries[name] = _entry(path, load(path))
            except (ImportError, AttributeError) as error:
                missing.append(f"{slot} {name} ({path}): {error}")
        for prefix, module in LIBRARIES[slot].items():
            entries |= _library(slot, prefix, module)
        components[slot] = entries
    versions = {name: importlib.metadata.version(name) for name in ("torch", "monai", "torchio")}
    return {"versions": _public(versions), "components": components}, missing


def load(path: str) -> Any:
    """Import ``module:attribute``."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _library(slot: str, prefix: str, module_name: str) -> dict[str, Any]:
    module = importlib.import_module(module_name)
    base = load(_LIBRARY_KINDS.get(module_name) or KINDS[slot][0])
    usable = set(load(FILTERS[module_name])()) if module_name in FILTERS else None
    out = {}
    for name, cls in sorted(vars(module).items()):
        # A class has several names in MONAI; its own is the one that counts.
        if not inspect.isclass(cls) or not issubclass(cls, base) or cls.__name__ != name:
            continue
        if cls is base or inspect.isabstract(cls) or cls.__module__.startswith(_LEFT_OUT):
            continue
        if usable is not None and name not in usable and f"{prefix}.{name}" not in usable:
            continue
        entry = _entry(f"{module_name}:{name}", cls)
        # `name` is the component's own in a recipe; what cannot do without another is left out.
        if "required" not in entry["arguments"].pop("name", {}):
            out[f"{prefix}.{name}"] = entry
    return out


def _entry(path: str, function: Any) -> dict[str, Any]:
    signature = describe(function)
    arguments = {}
    for name, argument in signature.arguments.items():
        required = {"required": True} if argument.default is None else {"default": argument.default}
        arguments[name] = ({"type": argument.type} if argument.type else {}) | required
    return {"path": path, "arguments": arguments} | ({"open": True} if signature.is_open else {})


def _public(versions: dict[str, str]) -> dict[str, str]:
    """Leave out the build: ``2.13.0+cpu`` has the signatures of ``2.13.0``."""
    return {name: version.partition("+")[0] for name, version in versions.items()}


def to_text(table: dict[str, Any]) -> str:
    """Return the file's text: one component a line, so that a change shows as a line."""
    slots = []
    for slot, entries in table["components"].items():
        lines = [f"   {json.dumps(name)}: {json.dumps(item)}" for name, item in entries.items()]
        slots.append(f"  {json.dumps(slot)}: {{\n" + ",\n".join(lines) + "\n  }")
    body = ",\n".join(slots)
    versions = json.dumps(table["versions"])
    return f'{{\n "versions": {versions},\n "components": {{\n{body}\n }}\n}}\n'


def main() -> int:
    """Write the table; 1 if something of ours could not be imported."""
    table, missing = generate()
    FILE.write_text(to_text(table), encoding="utf-8")
    for line in missing:
        print(f"missing: {line}", file=sys.stderr)
    return bool(missing)


if __name__ == "__main__":
    raise SystemExit(main())
