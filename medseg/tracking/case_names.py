"""Pseudonyms of cases: what leaves the machine need not name a patient."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

KEY_FILE = "case_key"


class CaseNames:
    """Turns case ids into names that may be shown.

    With ``hashed`` the name is the first 12 hex digits of the HMAC-SHA256 of the id, under a
    random key in ``folder/case_key``. The key stays on this machine: without it the names cannot be
    guessed by hashing likely ids; with it whoever owns the data can tell which case is meant.

    Args:
        folder: where the key lies; it is made at the first use, readable by its owner only.
        hashed: ``False`` returns the ids as they are.
    """

    def __init__(self, folder: Path, *, hashed: bool) -> None:
        self.folder, self.hashed = Path(folder), hashed
        self._key: bytes | None = None

    def __call__(self, case_id: str) -> str:
        """Return the name to show for a case."""
        if not self.hashed:
            return case_id
        self._key = self._key or _key_in(self.folder)
        return "case-" + hmac.new(self._key, case_id.encode(), hashlib.sha256).hexdigest()[:12]

    def in_data(self, data: Any, case_ids: Iterable[str]) -> Any:
        """Return plain containers with every mention of the ids replaced, in keys and in text."""
        if not self.hashed:
            return data
        # Longest first: one id may begin another (case_1, case_10).
        names = {case_id: self(case_id) for case_id in sorted(case_ids, key=len, reverse=True)}
        return _replaced(data, names)


def _replaced(data: Any, names: dict[str, str]) -> Any:
    if isinstance(data, dict):
        return {_replaced(k, names): _replaced(v, names) for k, v in data.items()}
    if isinstance(data, list | tuple):
        return [_replaced(v, names) for v in data]
    if isinstance(data, str):
        for case_id, name in names.items():
            data = data.replace(case_id, name)
    return data


def _key_in(folder: Path) -> bytes:
    path = folder / KEY_FILE
    folder.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text(encoding="ascii"))
    key = secrets.token_bytes(32)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key.hex())
    return key
