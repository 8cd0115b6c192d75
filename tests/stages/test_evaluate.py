from __future__ import annotations

from medseg.geometry.boxes import Boxes
from medseg.metrics import DetectionCase, detection_table, evaluate_detections, froc_table
from medseg.stages import evaluate


class Kept:
    """Keeps the tables that a reporter would print."""

    def __init__(self) -> None:
        self.tables: list[list] = []

    def table(self, title, header, rows) -> None:
        self.tables.append([header, *rows])


def test_a_detection_shows_its_precision_and_its_free_response_curve():
    there = Boxes([[0, 0, 4, 4]])
    case = DetectionCase(Boxes(there.corners, scores=[0.5]), there)
    metrics = evaluate_detections({"a": case}, classes=["cell"])
    kept = Kept()
    evaluate.show(kept, metrics)
    scores, curves, sizes = kept.tables
    assert scores == detection_table(metrics) and curves == froc_table(metrics)
    assert sizes[1] == ["cell", "0 –", "1", "1.0000", "1.0000", "1.0000"]
