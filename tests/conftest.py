from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data():
    """Give the path of a real data set, or skip where the folder is absent."""
    root = Path(
        os.environ.get("MEDSEG_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")
    ).resolve()

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"real data absent: {path} (set MEDSEG_TEST_DATA)")
        return path

    return find
