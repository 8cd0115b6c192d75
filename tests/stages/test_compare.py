"""What is read as the scores of a run, before two of them are compared."""

from __future__ import annotations

import json

import pytest

from medseg.errors import InputError
from medseg.stages.compare import read

SCORES = {"references": 1, "found": 1}
METRICS = {
    "schema": 1,
    "task": "detection",
    "classes": ["cell", "spot"],
    "hit": "centre in the object",
    "iou": [0.1],
    "fps": [1],
    "n_cases": 1,
    "cases": {"a": {"cell": SCORES, "spot": SCORES}},
}


def test_the_scores_of_a_detection_are_read(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    assert read(tmp_path)["cases"]["a"]["spot"] == SCORES


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({**METRICS, "cases": {"a": {"cell": SCORES}}}),
        json.dumps({**METRICS, "cases": {"a": {}}}),
        json.dumps({**METRICS, "cases": {"a": None}}),
        "[" * 100_000,
        "",
    ],
)
def test_what_is_damaged_is_no_metrics_json(tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(InputError, match=r"no metrics\.json") as error:
        read(tmp_path)
    assert error.value.file == tmp_path / "metrics.json"
