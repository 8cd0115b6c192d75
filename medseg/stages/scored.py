"""Whether a run has scores already."""

from __future__ import annotations

import json
from pathlib import Path


def has_cases(target: Path) -> bool:
    """Tell whether a ``metrics.json`` holds the scores of any case."""
    try:
        return bool(json.loads(target.read_text(encoding="utf-8")).get("cases"))
    except (OSError, ValueError, AttributeError):
        return False
