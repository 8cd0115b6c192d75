from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from medseg.data.case import Case, Dataset
from medseg.inference.detection import Detector, JoinedDetector
from medseg.inference.detection.found_file import read_boxes
from medseg.metrics.evaluate_detections import evaluate_detections
from medseg.objects import ObjectRule
from medseg.stages import choose_boxes
from medseg.stages.found_cases import read_cases
from medseg.stages.reporter import Reporter
from tests.detectors import DETECTION, EDGE, LABELS, make_plan, save_run, save_scan, scene

SHAPE = (32, 24, 24)
BLOCKS = (((8, 0, 16), 1), ((16, 16, 0), 2))
# Boxes of one detector are twice as long: those of both overlap by one half.
WIDTHS = {"strict": (0.6, EDGE), "loose": (0.4, 2 * EDGE)}


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    image = save_scan(tmp_path / "image.nii.gz", scene(SHAPE, *BLOCKS))
    mask = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(scene(SHAPE, *BLOCKS).astype(np.uint8), np.eye(4)), mask)
    cases = (Case("one", (image,), mask),)
    return Dataset("test", tmp_path, cases, ("MR",), LABELS, objects=ObjectRule())


@pytest.fixture
def scores(tmp_path, dataset) -> dict:
    """The metrics of two runs, whose predictions lie in their folders."""
    found = {}
    for name, (overlap, width) in WIDTHS.items():
        anchors = [[[float(width), float(EDGE), float(EDGE)]]]
        plan = {**make_plan().to_dict(), "anchors": anchors}
        run = save_run(tmp_path / name, plan=plan, detection={**DETECTION, "overlap": overlap})
        detector = Detector.load(run, device="cpu", trust=["tests"], keep="none")
        (run / "predictions").mkdir()
        file = run / "predictions" / "one.json"
        detector.find_case(dataset.cases[0]).save(file)
        found[run,] = evaluate_detections(read_cases({"one": file}, dataset), LABELS.foreground)
    return found


@pytest.mark.parametrize(("order", "boxes"), [(1, 4), (-1, 2)], ids=["strict", "loose"])
def test_a_pair_is_scored_by_the_boxes_that_it_predicts(tmp_path, dataset, scores, order, boxes):
    ordered = dict([*scores.items()][::order])
    out = tmp_path / "out"
    splits = [{"train": [], "val": ["one"]}]
    choose_boxes.run(ordered, out, dataset, splits, report=Reporter(quiet=True))
    scored = read_boxes(next(out.glob("*/one.json")))
    joined = JoinedDetector.load([run for (run,) in ordered], device="cpu", trust=["tests"])
    predicted = joined.locate(joined.read(dataset.cases[0]))
    assert len(scored) == len(predicted) == boxes
    assert np.allclose(scored.boxes.corners, predicted.boxes.corners)
    assert np.allclose(scored.scores, predicted.scores)
