"""File-name patterns: ``{case}_{channel}``, with ``*`` for any text and ``?`` for one character.

``**/`` at the beginning stands for any folders, or none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from medseg.data.formats.files import suffix_of
from medseg.errors import InputError

_TOKEN = re.compile(r"\{[^{}]*\}|\*+|\?|[^{}*?]+|[{}]")

ANYWHERE = "**/"
_ANY = "[^/]*"
_MOST_STARS = 3


@lru_cache(maxsize=64)
def compile_pattern(
    pattern: str,
    *,
    key: str,
    fields: tuple[str, ...] = ("folder", "case", "channel"),
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
        InputError: an unknown field, a stray brace, or the required field is missing; or so many
            stars that a name could be read in too many ways.
    """
    whole, pattern = pattern, pattern.removeprefix(ANYWHERE)
    parts: list[str] = []
    seen: set[str] = set()
    last = 0
    for token in _TOKEN.findall(pattern):
        if token in ("{", "}") or (token[0] == "{" and token[1:-1] not in fields):
            raise InputError(
                f"data.{key}: {token!r} is not a field",
                expected=" and ".join(f"{{{name}}}" for name in fields),
                found=whole,
            )
        if token[0] == "{":
            name = token[1:-1]
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_text(name, channels)})")
            seen.add(name)
            last = len(parts)
        else:
            parts.append({"*": _ANY, "?": "[^/]"}.get(token[0]) or re.escape(token))
    if required not in seen:
        raise InputError(f"data.{key} must hold {{{required}}}", found=whole)
    if any(part.count("*") > _MOST_STARS for part in pattern[: pattern.rindex("}")].split("/")):
        raise InputError(
            f"data.{key} has too many stars before its last field",
            expected=f"{_MOST_STARS} at most in the name of a file or a folder",
            found=whole,
        )
    return re.compile("".join(parts[:last] + _first_fit(parts[last:])))


def _first_fit(tail: list[str]) -> list[str]:
    """Let each star behind the last field but the last one end where what follows first fits.

    They capture nothing, so that any fit is as good; without this a name that does not fit at all
    is tried in more ways than a computer has time for.
    """
    stars = [i for i, part in enumerate(tail) if part == _ANY]
    for here, following in pairwise(stars):
        tail[here] = tail[here].replace(_ANY, f"(?>{_ANY}?")
        tail[following] = f"){_ANY}"
    return tail


def _text(name: str, channels: tuple[str, ...]) -> str:
    if name != "channel":
        return "[^/]+"
    if channels:
        return "|".join(re.escape(c) for c in sorted(channels, key=len, reverse=True))
    # Without an underscore, {case}_{channel} splits at the last one.
    return "[^/_]+"


def depth_of(pattern: str) -> int:
    """Count the folders that a pattern names."""
    return pattern.removeprefix(ANYWHERE).count("/")


def case_of(match: re.Match[str]) -> str:
    """Return the id of a case: ``{case}``, behind its ``{folder}`` where the pattern has one."""
    fields = match.groupdict()
    folder = fields.get("folder")
    return f"{folder}_{fields['case']}" if folder else fields["case"]


def match_name(regex: re.Pattern[str], pattern: str, path: Path) -> re.Match[str] | None:
    """Match a path's last components, as many as the pattern has.

    A pattern that ends in an image suffix is held against the whole name, any other one against the
    name without its suffix.
    """
    parts = path.parts[-(depth_of(pattern) + 1) :]
    text = "/".join(parts)
    if not suffix_of(pattern):
        text = text.removesuffix(suffix_of(path))
    return regex.fullmatch(text)
