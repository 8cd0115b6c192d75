"""File-name patterns: ``{case}_{channel}``, with ``*`` for any text and ``?`` for one character."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from medseg.data.formats.files import suffix_of
from medseg.errors import InputError

_TOKEN = re.compile(r"\{[^{}]*\}|\*|\?|[^{}*?]+|[{}]")


@lru_cache(maxsize=64)
def compile_pattern(
    pattern: str,
    *,
    key: str,
    fields: tuple[str, ...] = ("case", "channel"),
    required: str = "case",
    channels: tuple[str, ...] = (),
) -> re.Pattern[str]:
    """Turn a pattern into a regular expression with a group per field.

    Args:
        pattern: the pattern; a field that comes twice must match the same text.
        key: the recipe key, for messages.
        fields: the fields it may hold.
        required: the field it must hold.
        channels: where known, the only texts that ``{channel}`` matches.

    Raises:
        InputError: an unknown field, a stray brace, or the required field is missing.
    """
    parts: list[str] = []
    seen: set[str] = set()
    for token in _TOKEN.findall(pattern):
        if token in ("{", "}") or (token[0] == "{" and token[1:-1] not in fields):
            raise InputError(
                f"data.{key}: {token!r} is not a field",
                expected=" and ".join(f"{{{name}}}" for name in fields),
                found=pattern,
            )
        if token[0] == "{":
            name = token[1:-1]
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_text(name, channels)})")
            seen.add(name)
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(token) or re.escape(token))
    if required not in seen:
        raise InputError(f"data.{key} must hold {{{required}}}", found=pattern)
    return re.compile("".join(parts))


def _text(name: str, channels: tuple[str, ...]) -> str:
    if name != "channel":
        return "[^/]+"
    if channels:
        return "|".join(re.escape(c) for c in sorted(channels, key=len, reverse=True))
    # Without an underscore, {case}_{channel} splits at the last one.
    return "[^/_]+"


def match_name(regex: re.Pattern[str], pattern: str, path: Path) -> re.Match[str] | None:
    """Match a path's last components, as many as the pattern has.

    A pattern that ends in an image suffix is held against the whole name, any other one against the
    name without its suffix.
    """
    parts = path.parts[-(pattern.count("/") + 1) :]
    text = "/".join(parts)
    if not suffix_of(pattern):
        text = text.removesuffix(suffix_of(path))
    return regex.fullmatch(text)
