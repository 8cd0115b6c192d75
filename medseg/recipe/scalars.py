"""What a plain scalar means by the core schema of YAML 1.2 (section 10.3 of the specification)."""

from __future__ import annotations

import re

from medseg.recipe.nodes import Scalar

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"(?P<sign>[-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def parse_scalar(text: str) -> Scalar:
    """Return the value that an unquoted `text` stands for: null, bool, int, float or text."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text, base)
    if _FLOAT.fullmatch(text):
        return float(text)
    if special := _SPECIAL.fullmatch(text):
        return float(f"{special['sign'] or ''}inf") if special[2] else float("nan")
    return text
