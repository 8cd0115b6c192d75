"""Lengths of time as people write them: ``15m``, ``1h30m``, ``90s``, or seconds."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema

_PARTS = re.compile(
    r"(?:(?P<d>[\d.]+)d)?(?:(?P<h>[\d.]+)h)?(?:(?P<m>[\d.]+)m)?(?:(?P<s>[\d.]+)s?)?"
)
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse_duration(value: Any) -> float:
    """Return seconds.

    Raises:
        ValueError: it is no length of time above zero.
    """
    seconds = 0.0
    if isinstance(value, str):
        match = _PARTS.fullmatch(value.replace(" ", "").lower())
        if match is not None:
            try:
                parts = {
                    unit: float(number) for unit, number in match.groupdict().items() if number
                }
            except ValueError:
                parts = {}
            seconds = sum(_SECONDS[unit] * number for unit, number in parts.items())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    if not 0 < seconds < float("inf"):
        raise ValueError("expected a length of time such as 15m, 1h30m, 90s or a number of seconds")
    return seconds


def parse_interval(value: Any) -> int | float:
    """Return steps as a whole number, or seconds as a float.

    Raises:
        ValueError: it is neither a number of steps nor a length of time.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, str) and not value.strip().isdigit():
        return parse_duration(value)
    raise ValueError("expected a number of steps, or a length of time such as 5m")


Seconds = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^([0-9.]+[dhms]? *)+$|\$\{"},
            ]
        }
    ),
]

Interval = Annotated[
    int | float,
    PlainValidator(parse_interval),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^([0-9.]+[dhms] *)+$|\$\{"},
            ]
        }
    ),
]
